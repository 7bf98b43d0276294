/* Resources for the benchmarks of the router and the compiler: many rules, as hosts or as prefixes.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/compile/compile.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/endpoints.pb-c.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "schema/pack.h"

#define BACKENDS 100u

struct routes_make {
    struct arena arena;
    struct compile *compile;
    struct snapshot *snapshot;
    bool as_hosts;
};

/* The pattern with `number` in the place of '#'. */
static inline char *make_string(struct arena *arena, const char *pattern, unsigned number)
{
    struct text text = text_of(pattern);
    size_t mark = text_find(text, '#', 0);
    if (mark == text.len)
        return arena_string(arena, text);
    struct text made = arena_printf(arena, TEXT_FMT "%u" TEXT_FMT, (int)mark, text.data, number,
                                    TEXT_ARG(text_slice(text, mark + 1, text.len)));
    return arena_string(arena, made);
}

static inline struct compile_edit make_edit(struct arena *arena, enum resource_type type,
                                            const char *name, const void *message)
{
    return (struct compile_edit){.type = type,
                                 .name = arena_text(arena, text_of(name)),
                                 .bytes = schema_pack(message, arena)};
}

/* One rule as the control plane writes it; `version` makes its bytes differ. */
static inline struct compile_edit make_route_edit(struct arena *arena, bool as_hosts, unsigned at,
                                                  unsigned version)
{
    char empty[] = "", listener[] = "default/web/http", kind[] = "HTTPRoute", space[] = "tenant";
    Nantian__Config__V1__Route route = NANTIAN__CONFIG__V1__ROUTE__INIT;
    Nantian__Config__V1__Route__Match match = NANTIAN__CONFIG__V1__ROUTE__MATCH__INIT;
    Nantian__Config__V1__Route__Path path = NANTIAN__CONFIG__V1__ROUTE__PATH__INIT;
    Nantian__Config__V1__WeightedBackend backend = NANTIAN__CONFIG__V1__WEIGHTED_BACKEND__INIT;
    Nantian__Config__V1__Route__Match *matches[] = {&match};
    Nantian__Config__V1__WeightedBackend *backends[] = {&backend};
    char *host = make_string(arena, as_hosts ? "app-#.apps.example.com" : "apps.example.com", at);
    path.value = as_hosts ? make_string(arena, "/api", 0) : make_string(arena, "/app-#/api", at);
    match.path = &path;
    match.method = empty;
    backend.backend = make_string(arena, "tenant/service-#:8080", at % BACKENDS);
    backend.weight = 1;
    route.listener = listener;
    route.kind = kind;
    route.namespace_ = space;
    route.name = make_string(arena, "app-#", at);
    route.created = 1700000000;
    route.hostnames = &host;
    route.n_hostnames = 1;
    route.matches = matches;
    route.n_matches = 1;
    route.backends = backends;
    route.n_backends = 1;
    route.request_timeout_ms = version;
    return make_edit(arena, RESOURCE_ROUTE,
                     make_string(arena, "default/web/http|HTTPRoute/tenant/app-#/0", at), &route);
}

static inline struct compile_edit make_endpoints_edit(struct arena *arena, unsigned at,
                                                      unsigned version)
{
    char address[] = "10.0.0.1";
    Nantian__Config__V1__Endpoint one = NANTIAN__CONFIG__V1__ENDPOINT__INIT;
    Nantian__Config__V1__Endpoint *all[] = {&one};
    Nantian__Config__V1__Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    one.address = address;
    one.port = 8080 + version % 1000;
    one.serving = true;
    endpoints.endpoints = all;
    endpoints.n_endpoints = 1;
    return make_edit(arena, RESOURCE_ENDPOINTS, make_string(arena, "tenant/service-#:8080", at),
                     &endpoints);
}

static inline size_t make_base(struct arena *arena, struct compile_edit *edits)
{
    char gateway[] = "default/web", name[] = "http";
    Nantian__Config__V1__Listener listener = NANTIAN__CONFIG__V1__LISTENER__INIT;
    listener.gateway = gateway;
    listener.name = name;
    listener.port = 8080;
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTP;
    size_t count = 0;
    edits[count++] = make_edit(arena, RESOURCE_LISTENER, "default/web/http", &listener);
    for (unsigned i = 0; i < BACKENDS; i++) {
        Nantian__Config__V1__Backend backend = NANTIAN__CONFIG__V1__BACKEND__INIT;
        backend.endpoints = make_string(arena, "tenant/service-#:8080", i);
        edits[count++] = make_edit(arena, RESOURCE_BACKEND, backend.endpoints, &backend);
        edits[count++] = make_endpoints_edit(arena, i, 0);
    }
    return count;
}

static inline void make_apply(struct routes_make *make, const struct compile_edit *edits,
                              size_t count)
{
    struct faults faults;
    faults_init(&faults, &make->arena);
    struct snapshot *snapshot = NULL;
    if (compile_apply(make->compile, edits, count, TEXT("1.0.1"), (struct digest){0}, &snapshot,
                      &faults) != ERR_NONE) {
        fprintf(stderr, TEXT_FMT ": " TEXT_FMT "\n", TEXT_ARG(faults.items[0].where),
                TEXT_ARG(faults.items[0].what));
        exit(1);
    }
    snapshot_unref(make->snapshot);
    make->snapshot = snapshot;
    faults_fini(&faults);
}

/* Compiles `count` rules; times and memory of that are the result. */
struct make_cost {
    double seconds, bytes_each;
};

static inline struct make_cost make_routes(struct routes_make *make, bool as_hosts, unsigned count)
{
    *make = (struct routes_make){.as_hosts = as_hosts};
    arena_init(&make->arena, 1 << 20);
    struct compile_options options = {0};
    make->compile = compile_new(&options);
    struct compile_edit *edits = memory_alloc(sizeof(*edits) * (count + BACKENDS * 2 + 1));
    make_apply(make, edits, make_base(&make->arena, edits));
    for (unsigned i = 0; i < count; i++)
        edits[i] = make_route_edit(&make->arena, as_hosts, i, 0);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    uint64_t began = clock_monotonic_ns();
    make_apply(make, edits, count);
    struct make_cost cost = {.seconds = (double)(clock_monotonic_ns() - began) / 1e9};
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
    cost.bytes_each = (double)(after - before) / count;
    free(edits);
    return cost;
}

static inline void make_end(struct routes_make *make)
{
    snapshot_unref(make->snapshot);
    compile_free(make->compile);
    arena_fini(&make->arena);
}
