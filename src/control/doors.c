/* A port that is taken at the first certificate is tried again until it is free. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/doors.h"

#include <stdio.h>

#include "base/limits.h"
#include "control/publish/publish.h"

/* Those of this sort that are not open; the first that fails is told. */
static bool open_all(struct doors *doors, bool is_local)
{
    char text[ADDRESS_TEXT_MAX], why[sizeof(doors->why)] = "";
    for (size_t i = 0; i < doors->options->xds_count; i++) {
        const struct address *address = &doors->options->xds[i];
        if (doors->is_open[i] || (address->any.sa_family == AF_UNIX) != is_local)
            continue;
        const char *words = publish_listen(doors->publish, address, is_local ? NULL : doors->tls);
        doors->is_open[i] = words == NULL;
        address_format(address, text);
        if (words != NULL && why[0] == '\0')
            (void)snprintf(why, sizeof(why), "%s: %s", text, words);
        if (words == NULL && doors->failures > 0)
            log_info("data planes may come here now", log_str("address", text));
    }
    if (why[0] != '\0' && strcmp(why, doors->why) != 0)
        log_error("cannot listen for data planes", log_str("why", why));
    memcpy(doors->why, why, sizeof(why));
    return why[0] == '\0';
}

static void try(void *owner)
{
    struct doors *doors = owner;
    loop_disarm(doors->loop, &doors->retry);
    if (open_all(doors, false)) {
        doors->failures = 0;
        return;
    }
    uint64_t step = (uint64_t)LIMIT_RECONNECT_MIN_MS << MIN(doors->failures, 8u);
    doors->failures++;
    loop_arm(doors->loop, &doors->retry, MIN(step, (uint64_t)LIMIT_RECONNECT_MAX_MS));
}

void doors_init(struct doors *doors, struct loop *loop, struct publish *publish,
                const struct options *options)
{
    *doors = (struct doors){.loop = loop, .publish = publish, .options = options};
    timer_init(&doors->retry, doors, try);
}

void doors_fini(struct doors *doors)
{
    if (doors->loop != NULL)
        loop_disarm(doors->loop, &doors->retry);
}

bool doors_open_local(struct doors *doors)
{
    return open_all(doors, true);
}

bool doors_open(struct doors *doors, struct tls_context *tls)
{
    doors->tls = tls;
    return open_all(doors, false);
}

void doors_certify(struct doors *doors, struct tls_context *tls)
{
    doors->tls = tls;
    publish_certify(doors->publish, tls);
    try(doors);
}

const char *doors_why(const struct doors *doors)
{
    return doors->why[0] == '\0' ? NULL : doors->why;
}
