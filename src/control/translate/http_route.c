/* Rules of HTTPRoutes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/http_route.h"

#include "base/limits.h"
#include "control/translate/backends.h"
#include "control/translate/filters.h"
#include "control/translate/matches.h"

struct job {
    struct route_build *build;
    const struct kind_http_rule *from;
    struct text field; /* "spec.rules[0]" */
    struct route_own *own;
    Nantian__Config__V1__Route *rule;
};

static struct route_spot spot_of(struct job *job, struct kind_place place, const char *member)
{
    return (struct route_spot){
        place, arena_printf(&job->build->t->scratch, TEXT_FMT ".%s", TEXT_ARG(job->field), member)};
}

static uint32_t milliseconds(const struct kind_duration *duration)
{
    if (duration->ms <= 0)
        return 0;
    return duration->ms > UINT32_MAX ? UINT32_MAX : (uint32_t)duration->ms;
}

static void add_retry(struct job *job)
{
    const struct kind_retry *from = job->from->retry;
    struct arena *arena = &job->build->t->scratch;
    if (from == NULL)
        return;
    Nantian__Config__V1__Route__Retry *retry = arena_new(arena, Nantian__Config__V1__Route__Retry);
    nantian__config__v1__route__retry__init(retry);
    if (from->code_count > 0) {
        struct route_spot spot = spot_of(job, from->place, "retry.codes");
        route_needs(job->build, CAPABILITY_RETRY_CODES, &spot);
        retry->codes = arena_array(arena, uint32_t, from->code_count);
        retry->n_codes = from->code_count;
        for (size_t i = 0; i < from->code_count; i++)
            retry->codes[i] = (uint32_t)from->codes[i];
    }
    retry->attempts = (uint32_t)MIN(MAX(from->attempts, 0), LIMIT_RETRY_ATTEMPTS);
    retry->backoff_ms = milliseconds(&from->backoff);
    retry->connect_failure = true;
    if (job->rule->retry != NULL) /* of a policy that the rule names */
        retry->budget_ms = job->rule->retry->budget_ms;
    job->rule->retry = retry;
}

static bool replaces_prefix(const struct kind_filter *filter)
{
    const struct kind_path_modifier *path = NULL;
    if (filter->redirect != NULL)
        path = filter->redirect->path;
    if (filter->rewrite != NULL)
        path = filter->rewrite->path;
    return path != NULL && path->type == KIND_PATH_REPLACE_PREFIX;
}

/* A prefix can only be replaced where a prefix was matched. */
static bool check_prefixes(struct job *job)
{
    bool has_other = false;
    for (size_t i = 0; i < job->from->match_count; i++)
        has_other = has_other || job->from->matches[i].path_type != KIND_MATCH_PREFIX;
    for (size_t i = 0; has_other && i < job->from->filter_count; i++) {
        if (!replaces_prefix(&job->from->filters[i]))
            continue;
        struct route_spot spot = spot_of(job, job->from->filters[i].place, "filters");
        route_dropped(job->build, &spot,
                      TEXT("ReplacePrefixMatch needs matches of the type PathPrefix."));
        return false;
    }
    return true;
}

/* False: the rule was dropped. */
static bool make(struct job *job)
{
    struct route_build *build = job->build;
    const struct kind_http_rule *from = job->from;
    size_t dropped = build->dropped_count;
    job->own->request_timeout = from->request_timeout.is_set;
    job->own->backend_timeout = from->backend_request_timeout.is_set;
    job->rule->request_timeout_ms = milliseconds(&from->request_timeout);
    job->rule->backend_request_timeout_ms = milliseconds(&from->backend_request_timeout);
    if (!matches_http(build, from, job->field, job->rule) || !check_prefixes(job))
        return false;
    struct filters_list filters = {from->filters, from->filter_count, job->field, false};
    enum filters_verdict verdict = filters_of_rule(build, &filters, job->own, job->rule);
    if (verdict == FILTERS_DROP)
        return false;
    add_retry(job);
    route_session(build, from->session, job->field, job->rule);
    struct backends_list backends = {from->backends, from->backend_count, job->field,
                                     BACKENDS_AS_HINTED};
    backends_of_rule(build, &backends, job->rule);
    if (verdict == FILTERS_FAIL) {
        job->rule->n_backends = 0;
        job->rule->no_backends = true;
    }
    return build->dropped_count == dropped;
}

void http_route_rules(struct route_build *build)
{
    const struct kind_http_route *route = build->object->http_route;
    route_set_rule_count(build, route->rule_count);
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct kind_http_rule *from = &route->rules[i];
        struct job job = {build, from, arena_printf(&build->t->scratch, "spec.rules[%zu]", i),
                          &build->own[i], route_new_rule(build, i, from->name)};
        size_t before = build->dropped_count;
        if (make(&job))
            build->rules[i] = job.rule;
        else
            build->dropped_count = before + 1; /* one rule, however many complaints */
    }
}
