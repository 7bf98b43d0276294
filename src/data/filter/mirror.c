/* Notes that a share of the requests goes to another backend as well; the proxy sends the copies
 * when it sends the request. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/filters.h"
#include "nantian/config/v1/filter.pb-c.h"

struct mirror {
    struct backend_name backend;
    uint32_t numerator, denominator; /* denominator 0: every request */
};

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__Mirror *from = message;
    if (from->denominator > 0 && from->numerator > from->denominator) {
        fault->field = TEXT("numerator");
        fault->what = TEXT("is above the denominator");
        return ERR_INVALID;
    }
    struct mirror *config = arena_new(arena, struct mirror);
    config->backend =
        (struct backend_name){arena_text(arena, text_of(from->backend)), BACKEND_NONE};
    config->numerator = from->numerator;
    config->denominator = from->denominator;
    *ret_config = config;
    return ERR_NONE;
}

static struct backend_name *backend(void *opaque)
{
    struct mirror *config = opaque;
    return &config->backend;
}

static enum filter_verdict on_request(struct exchange *x, const void *opaque, void *state)
{
    (void)state;
    const struct mirror *config = opaque;
    if (config->denominator > 0 &&
        random_below(loop_random(x->loop), config->denominator) >= config->numerator)
        return FILTER_NEXT;
    struct exchange_copy *copy = arena_new(x->arena, struct exchange_copy);
    *copy = (struct exchange_copy){config->backend.slot, x->copies};
    x->copies = copy;
    return FILTER_NEXT;
}

const struct filter_type filter_mirror = {
    .name = "mirror",
    .compile = compile,
    .on_request = on_request,
    .backend = backend,
};
