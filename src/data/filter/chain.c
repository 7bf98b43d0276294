/* Walks a rule's filters, and those of the chosen backend reference: see chain.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/chain.h"

/* How far an exchange got in one chain. */
struct progress {
    const struct filter_chain *chain; /* borrows: the lease holds it; NULL: none */
    char *states;                     /* in the exchange's arena */
    uint32_t met;                     /* steps that saw the request */
    uint32_t answered;                /* of those met, from the last: saw the response */
    bool is_waiting;                  /* the step behind those met has begun */
};

struct chain_state {
    struct progress rule, backend;
};

static uint32_t state_room(const struct filter_type *type)
{
    return (uint32_t)(type->state_size + 15) & ~15u;
}

struct filter_chain *chain_new(struct arena *arena, const struct filter_step *steps, size_t count)
{
    if (count == 0)
        return NULL;
    struct filter_chain *chain =
        arena_zalloc(arena, sizeof(*chain) + sizeof(struct filter_step) * count);
    for (size_t i = 0; i < count; i++) { /* insertion, so that equal types keep their order */
        uint32_t at = chain->count++;
        while (at > 0 && filter_rank(chain->steps[at - 1].type) > filter_rank(steps[i].type)) {
            chain->steps[at] = chain->steps[at - 1];
            at--;
        }
        chain->steps[at] = steps[i];
    }
    for (uint32_t i = 0; i < chain->count; i++) {
        chain->steps[i].state_at = chain->state_bytes;
        chain->state_bytes += state_room(chain->steps[i].type);
    }
    return chain;
}

/* The step of `type` that has `nth` others of it before it. */
static const struct filter_step *find_step(const struct filter_chain *chain,
                                           const struct filter_type *type, uint32_t nth)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        if (chain->steps[i].type == type && nth-- == 0)
            return &chain->steps[i];
    }
    return NULL;
}

void chain_adopt(struct filter_chain *chain, const struct filter_chain *previous)
{
    if (chain == NULL || previous == NULL)
        return;
    for (uint32_t i = 0, nth = 0; i < chain->count; i++) {
        struct filter_step *step = &chain->steps[i];
        nth = i > 0 && chain->steps[i - 1].type == step->type ? nth + 1 : 0;
        const struct filter_step *before = find_step(previous, step->type, nth);
        if (step->type->adopt != NULL && before != NULL)
            step->type->adopt(step->config, before->config);
    }
}

void chain_release(struct filter_chain *chain)
{
    for (uint32_t i = 0; chain != NULL && i < chain->count; i++) {
        if (chain->steps[i].type->release != NULL)
            chain->steps[i].type->release(chain->steps[i].config);
    }
}

static void enter(struct exchange *x, struct progress *progress, const struct filter_chain *chain)
{
    *progress = (struct progress){.chain = chain};
    if (chain->state_bytes > 0)
        progress->states = arena_zalloc(x->arena, chain->state_bytes);
}

static void *step_state(const struct progress *progress, uint32_t at)
{
    const struct filter_step *step = &progress->chain->steps[at];
    return step->type->state_size == 0 ? NULL : progress->states + step->state_at;
}

static enum filter_verdict run_down(struct exchange *x, struct progress *progress)
{
    while (progress->met < progress->chain->count) {
        const struct filter_step *step = &progress->chain->steps[progress->met];
        enum filter_verdict verdict = FILTER_NEXT;
        if (step->type->on_request != NULL)
            verdict = step->type->on_request(x, step->config, step_state(progress, progress->met));
        progress->is_waiting = verdict == FILTER_WAIT;
        if (verdict == FILTER_WAIT)
            return verdict;
        progress->met++; /* also who answered itself sees its response */
        if (verdict == FILTER_RESPOND)
            return verdict;
    }
    return FILTER_NEXT;
}

static struct chain_state *state_of(struct exchange *x)
{
    if (x->chain == NULL)
        x->chain = arena_new(x->arena, struct chain_state);
    return x->chain;
}

enum filter_verdict chain_run_request(struct exchange *x)
{
    if (x->hit.route == NULL || x->hit.route->filters == NULL)
        return FILTER_NEXT;
    struct progress *rule = &state_of(x)->rule;
    if (rule->chain == NULL)
        enter(x, rule, x->hit.route->filters);
    return run_down(x, rule);
}

enum filter_verdict chain_run_backend_request(struct exchange *x)
{
    if (x->backend == NULL || x->backend->filters == NULL)
        return FILTER_NEXT;
    struct progress *backend = &state_of(x)->backend;
    if (backend->chain != x->backend->filters)
        enter(x, backend, x->backend->filters);
    return run_down(x, backend);
}

static enum filter_verdict run_up(struct exchange *x, struct progress *progress)
{
    while (progress->answered < progress->met) {
        uint32_t at = progress->met - 1 - progress->answered;
        const struct filter_step *step = &progress->chain->steps[at];
        if (step->type->on_response != NULL &&
            step->type->on_response(x, step->config, step_state(progress, at)) == FILTER_WAIT)
            return FILTER_WAIT;
        progress->answered++;
    }
    return FILTER_NEXT;
}

enum filter_verdict chain_run_response(struct exchange *x)
{
    if (x->chain == NULL)
        return FILTER_NEXT;
    if (run_up(x, &x->chain->backend) == FILTER_WAIT)
        return FILTER_WAIT;
    return run_up(x, &x->chain->rule);
}

static void end(struct exchange *x, struct progress *progress)
{
    progress->met += progress->is_waiting; /* who still waits has something to give back too */
    progress->is_waiting = false;
    while (progress->met > 0) {
        uint32_t at = --progress->met;
        const struct filter_step *step = &progress->chain->steps[at];
        if (step->type->on_end != NULL)
            step->type->on_end(x, step->config, step_state(progress, at));
    }
}

void chain_run_end(struct exchange *x)
{
    if (x->chain == NULL)
        return;
    end(x, &x->chain->backend);
    end(x, &x->chain->rule);
}
