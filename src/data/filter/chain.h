/* A rule's filters, built once at compile time and walked for each request: down with the request,
 * back up with the response through those filters that the request met. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/filter/filters.h"

struct filter_step {
    const struct filter_type *type;
    const void *config;
};

struct filter_chain {
    uint32_t count;
    uint32_t state_bytes; /* of all steps */
    struct filter_step steps[];
};

/* In the order of registry.c, equal types in the order given. In `arena`. */
struct filter_chain *chain_new(struct arena *arena, const struct filter_step *steps, size_t count);

/* Starts a rule's chain (x->hit.route->filters may be NULL), or goes on after FILTER_WAIT. */
enum filter_verdict chain_run_request(struct exchange *x);
/* The chain of the chosen backend reference, run once the backend is known, before sending. */
enum filter_verdict chain_run_backend_request(struct exchange *x);
enum filter_verdict chain_run_response(struct exchange *x);
void chain_run_end(struct exchange *x);
