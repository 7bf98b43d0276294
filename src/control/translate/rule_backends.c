/* The weighted backends of a rule: the good ones by name, the bad ones by reason. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/backends.h"
#include "control/translate/filters.h"

void backends_of_rule(struct route_build *build, const struct backends_list *list,
                      Nantian__Config__V1__Route *rule)
{
    struct arena *arena = &build->t->scratch;
    rule->backends = arena_array(arena, Nantian__Config__V1__WeightedBackend *, list->count);
    size_t good = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct kind_backend_ref *ref = &list->items[i];
        struct route_spot spot = {ref->place, arena_printf(arena, TEXT_FMT ".backendRefs[%zu]",
                                                           TEXT_ARG(list->field), i)};
        Nantian__Config__V1__WeightedBackend *backend =
            arena_new(arena, Nantian__Config__V1__WeightedBackend);
        nantian__config__v1__weighted_backend__init(backend);
        backend->weight = (uint32_t)MAX(ref->weight, 0);
        struct text name;
        const char *reason = backends_resolve(build, ref, list->protocol, &spot, &name);
        struct filters_list filters = {ref->filters, ref->filter_count, spot.field, true};
        bool is_usable = filters_of_backend(build, &filters, backend);
        if (reason == NULL && !is_usable)
            reason = "InvalidKind";
        if (reason == NULL) {
            backend->backend = arena_string(arena, name);
            good++;
        } else {
            backend->reason = arena_string(arena, text_of(reason));
        }
        rule->backends[rule->n_backends++] = backend;
    }
    rule->no_backends = good == 0;
}
