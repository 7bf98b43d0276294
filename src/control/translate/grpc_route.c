/* Rules of GRPCRoutes: as HTTP, with the service and method as path, and HTTP/2 to the backend. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/grpc_route.h"

#include "control/translate/backends.h"
#include "control/translate/filters.h"
#include "control/translate/matches.h"

static bool make(struct route_build *build, const struct kind_grpc_rule *from, struct text field,
                 struct route_own *own, Nantian__Config__V1__Route *rule)
{
    size_t dropped = build->dropped_count;
    if (!matches_grpc(build, from, field, rule))
        return false;
    struct filters_list filters = {from->filters, from->filter_count, field, false};
    enum filters_verdict verdict = filters_of_rule(build, &filters, own, rule);
    if (verdict == FILTERS_DROP)
        return false;
    route_session(build, from->session, field, rule);
    struct backends_list backends = {from->backends, from->backend_count, field, BACKENDS_H2C};
    backends_of_rule(build, &backends, rule);
    if (verdict == FILTERS_FAIL) {
        rule->n_backends = 0;
        rule->no_backends = true;
    }
    return build->dropped_count == dropped;
}

void grpc_route_rules(struct route_build *build)
{
    const struct kind_grpc_route *route = build->object->grpc_route;
    route_set_rule_count(build, route->rule_count);
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct kind_grpc_rule *from = &route->rules[i];
        Nantian__Config__V1__Route *rule = route_new_rule(build, i, from->name);
        size_t before = build->dropped_count;
        if (make(build, from, arena_printf(&build->t->scratch, "spec.rules[%zu]", i),
                 &build->own[i], rule))
            build->rules[i] = rule;
        else
            build->dropped_count = before + 1;
    }
}
