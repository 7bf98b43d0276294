/* Rules of TCPRoutes, UDPRoutes and TLSRoutes: backends and nothing else. A TLSRoute goes by server
 * name, passed through or terminated as the listener says; its backend gets a byte stream either
 * way. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/l4_route.h"

#include "control/translate/backends.h"

void l4_route_rules(struct route_build *build)
{
    const struct kind_l4_route *route = build->object->l4_route;
    bool is_udp = build->object->id == KIND_UDP_ROUTE;
    route_set_rule_count(build, route->rule_count);
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct kind_l4_rule *from = &route->rules[i];
        build->rules[i] = route_new_rule(build, i, from->name);
        struct backends_list backends = {from->backends, from->backend_count,
                                         arena_printf(&build->t->scratch, "spec.rules[%zu]", i),
                                         is_udp ? BACKENDS_UDP : BACKENDS_TCP};
        backends_of_rule(build, &backends, build->rules[i]);
    }
}
