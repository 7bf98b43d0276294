/* What a filter is. To add one: a file here, a line in registry.c, a row in compile/filters.c. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/fault.h"
#include "data/exchange/exchange.h"

enum filter_verdict {
    FILTER_NEXT,
    FILTER_WAIT,    /* x->resume will be called; then this filter is asked again */
    FILTER_RESPOND, /* exchange_respond was called: the response goes back up */
};

struct filter_type {
    const char *name;  /* "request_headers": the oneof member of api/proto filter.proto */
    size_t state_size; /* per request, zeroed, in the request's arena */

    /* Turns the message from the control plane (Nantian__Config__V1__...) into what the hooks get
     * as `config`, in the route's arena. ERR_INVALID with fault->field/what/hint filled in. */
    enum err (*compile)(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault);
    /* All optional. */
    enum filter_verdict (*on_request)(struct exchange *x, const void *config, void *state);
    enum filter_verdict (*on_response)(struct exchange *x, const void *config, void *state);
    /* For each on_request, also one that never stopped waiting. */
    void (*on_end)(struct exchange *x, const void *config, void *state);
    /* For what a config holds outside the arena. `adopt`: `config` takes the place of `previous`
     * (same rule, same filter) before it is published, and may go on with its state. */
    void (*adopt)(void *config, const void *previous);
    void (*release)(void *config);
    /* Of a filter that sends somewhere itself: the part of `config` that says where. */
    struct backend_name *(*backend)(void *config);
};

extern const struct filter_type filter_request_headers;
extern const struct filter_type filter_response_headers;
extern const struct filter_type filter_redirect;
extern const struct filter_type filter_url_rewrite;
extern const struct filter_type filter_rate_limit;
extern const struct filter_type filter_cors;
extern const struct filter_type filter_external_auth;
extern const struct filter_type filter_mirror;
extern const struct filter_type filter_address_list;

/* Place in the order of registry.c. */
uint32_t filter_rank(const struct filter_type *type);
