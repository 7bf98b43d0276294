/* One definition speaks for all: they are installed together. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/bundle.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/value.h"

#define PATH                                                                                       \
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"                                     \
    "gatewayclasses.gateway.networking.k8s.io"
#define ANNOTATION "gateway.networking.k8s.io/bundle-version"

struct bundle {
    struct loop *loop;
    struct client *client;
    bundle_told on_told;
    void *owner;
    struct client_call *call;
    struct timer again;
    char *version; /* owns: told last; NULL: that it is not there */
    bool is_told;
};

static void tell(struct bundle *bundle, struct text version)
{
    bool is_same = bundle->is_told && (version.data == NULL) == (bundle->version == NULL) &&
                   (version.data == NULL || text_is(version, bundle->version));
    if (is_same)
        return;
    free(bundle->version);
    bundle->version = version.data == NULL ? NULL : memory_string(version);
    bundle->is_told = true;
    log_info("Gateway API in this cluster",
             log_text("version", version.data == NULL ? TEXT("none") : version));
    bundle->on_told(bundle->owner, version);
}

static void on_answer(void *owner, const struct client_answer *answer)
{
    struct bundle *bundle = owner;
    struct arena arena;
    struct faults faults;
    struct value *definition = NULL;
    bundle->call = NULL;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    bool is_missing = answer->status == 404 || answer->status == 403;
    if (answer->status == 200 &&
        value_parse_json(answer->body, TEXT_NONE, &arena, &definition, &faults)) {
        const struct value *annotations =
            value_get(value_get(definition, "metadata"), "annotations");
        struct text version = value_string(value_get(annotations, ANNOTATION));
        tell(bundle, version.data == NULL ? TEXT("") : version);
    } else if (is_missing || !bundle->is_told) {
        tell(bundle, (struct text){0});
    }
    faults_fini(&faults);
    arena_fini(&arena);
    loop_arm(bundle->loop, &bundle->again,
             bundle->version == NULL ? LIMIT_KUBE_MISSING_MS : LIMIT_KUBE_BUNDLE_MS);
}

static void look(void *owner)
{
    static const struct client_events EVENTS = {.on_done = on_answer};
    struct bundle *bundle = owner;
    const struct client_request request = {
        .method = "GET", .path = TEXT(PATH), .timeout_ms = LIMIT_KUBE_CALL_MS};
    bundle->call = client_start(bundle->client, &request, &EVENTS, bundle);
}

struct bundle *bundle_new(struct loop *loop, struct client *client, bundle_told on_told,
                          void *owner)
{
    struct bundle *bundle = memory_new(struct bundle);
    bundle->loop = loop;
    bundle->client = client;
    bundle->on_told = on_told;
    bundle->owner = owner;
    timer_init(&bundle->again, bundle, look);
    return bundle;
}

void bundle_free(struct bundle *bundle)
{
    if (bundle == NULL)
        return;
    client_cancel(bundle->call);
    loop_disarm(bundle->loop, &bundle->again);
    free(bundle->version);
    free(bundle);
}

void bundle_start(struct bundle *bundle)
{
    look(bundle);
}
