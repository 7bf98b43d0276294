/* Words for matches, backends and filters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/describe.h"

#include "base/builder.h"
#include "data/filter/chain.h"
#include "data/filter/filters.h"
#include "data/snapshot/backend.h"

static void add_fields(struct builder *out, const char *what, const struct field_match *fields,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        builder_printf(out, ", %s " TEXT_FMT "%s" TEXT_FMT, what, TEXT_ARG(fields[i].name),
                       fields[i].regex != NULL ? "~" : "=", TEXT_ARG(fields[i].value));
}

static struct text take(struct builder *out, struct arena *arena)
{
    struct text text = arena_text(arena, builder_text(out));
    builder_fini(out);
    return text;
}

struct text describe_match(const struct route_match *match, struct arena *arena)
{
    static const char *const kinds[] = {
        [PATH_PREFIX] = "PathPrefix", [PATH_EXACT] = "Exact", [PATH_REGEX] = "Regex"};
    struct builder out = {0};
    bool is_root = match->path_kind == PATH_PREFIX && match->path.len == 0;
    builder_printf(&out, "%s " TEXT_FMT, kinds[match->path_kind],
                   TEXT_ARG(is_root ? TEXT("/") : match->path));
    if (match->method.len > 0)
        builder_printf(&out, ", method " TEXT_FMT, TEXT_ARG(match->method));
    add_fields(&out, "header", match->headers, match->header_count);
    add_fields(&out, "query", match->query, match->query_count);
    return take(&out, arena);
}

static bool redirects(const struct filter_chain *chain)
{
    for (uint32_t i = 0; chain != NULL && i < chain->count; i++)
        if (chain->steps[i].type == &filter_redirect)
            return true;
    return false;
}

struct text describe_backends(const struct route *route, struct arena *arena)
{
    struct builder out = {0};
    if (redirects(route->filters))
        return TEXT("none: redirected");
    if (route->weight_sum == 0)
        return TEXT("none: 500");
    for (uint32_t i = 0; i < route->backend_count; i++) {
        const struct weighted_backend *backend = &route->backends[i];
        if (backend->weight == 0)
            continue;
        builder_add_string(&out, out.len > 0 ? ", " : "");
        builder_add(&out,
                    backend->slot == BACKEND_NONE ? TEXT("invalid reference: 500") : backend->name);
        if (route->backend_count > 1)
            builder_printf(&out, " %.3g%%",
                           100.0 * (double)backend->weight / (double)route->weight_sum);
    }
    return take(&out, arena);
}

struct text describe_filters(const struct filter_chain *chain, struct arena *arena)
{
    struct builder out = {0};
    for (uint32_t i = 0; chain != NULL && i < chain->count; i++) {
        builder_add_string(&out, i > 0 ? ", " : "");
        builder_add_string(&out, chain->steps[i].type->name);
    }
    return take(&out, arena);
}
