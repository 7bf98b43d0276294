/* A rule's filters, built once at compile time and walked for each request: down with the request,
 * back up with the response through those filters that the request met. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/filter/filters.h"

struct filter_step {
    const struct filter_type *type;
    void *config;
    uint32_t state_at; /* of this step's state among those of the chain; set by chain_new */
};

struct filter_chain {
    uint32_t count;
    uint32_t state_bytes; /* of all steps */
    struct filter_step steps[];
};

/* In the order of registry.c, equal types in the order given. In `arena`. */
struct filter_chain *chain_new(struct arena *arena, const struct filter_step *steps, size_t count);
/* Before publishing: steps whose filter stood in `previous` (both may be NULL) go on with its
 * state. */
void chain_adopt(struct filter_chain *chain, const struct filter_chain *previous);
/* Gives back what the steps hold outside the arena. NULL is fine. */
void chain_release(struct filter_chain *chain);

/* Starts a rule's chain (x->hit.route->filters may be NULL), or goes on after FILTER_WAIT. */
enum filter_verdict chain_run_request(struct exchange *x);
/* The chain of the chosen backend reference, run once the backend is known, before sending. */
enum filter_verdict chain_run_backend_request(struct exchange *x);
/* FILTER_NEXT, or FILTER_WAIT: call it again from x->resume. */
enum filter_verdict chain_run_response(struct exchange *x);
void chain_run_end(struct exchange *x);
