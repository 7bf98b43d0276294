/* Routes and requests from one line of words, for the tests of the router.
 *   matches: "GET =/exact h:name=value q:name=value", "/prefix h:name~regex", "~/regex"; " | " ORs
 *   request: "GET host /path?query h:name=value" */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "base/memory.h"
#include "base/regex.h"
#include "data/snapshot/route_table.h"
#include "test.h"

static inline void make_field(struct route *route, struct text word, bool is_header,
                              struct field_match *fields, uint32_t *count)
{
    size_t sign = 0;
    while (word.data[sign] != '=' && word.data[sign] != '~')
        sign++;
    struct field_match *field = &fields[(*count)++];
    field->name = arena_text(&route->arena, text_slice(word, 0, sign));
    field->id = is_header ? name_lookup(field->name) : NAME_OTHER;
    field->value = arena_text(&route->arena, text_slice(word, sign + 1, word.len));
    struct text why;
    if (word.data[sign] == '~')
        assert_non_null(field->regex = regex_new(field->value, &route->arena, &why));
}

static inline void make_match(struct route *route, struct text words, struct route_match *match)
{
    match->path = TEXT("");
    match->headers = arena_array(&route->arena, struct field_match, 8);
    match->query = arena_array(&route->arena, struct field_match, 8);
    struct text word, why;
    while (text_split(&words, ' ', &word)) {
        struct text rest = text_slice(word, 1, word.len);
        if (word.len == 0)
            continue;
        if (text_starts_with(word, TEXT("h:"))) {
            make_field(route, text_slice(word, 2, word.len), true, match->headers,
                       &match->header_count);
        } else if (text_starts_with(word, TEXT("q:"))) {
            make_field(route, text_slice(word, 2, word.len), false, match->query,
                       &match->query_count);
        } else if (word.data[0] == '=') {
            match->path_kind = PATH_EXACT;
            match->path = arena_text(&route->arena, rest);
        } else if (word.data[0] == '~') {
            match->path_kind = PATH_REGEX;
            match->path = arena_text(&route->arena, rest);
            assert_non_null(match->path_regex = regex_new(rest, &route->arena, &why));
        } else if (word.data[0] == '/') {
            if (text_ends_with(word, TEXT("/")))
                word.len--;
            match->path = arena_text(&route->arena, word);
        } else {
            match->method = arena_text(&route->arena, word);
        }
    }
}

/* `object` is "namespace/name"; `hosts` are separated by commas, empty for every host. */
static inline struct route *make_route(const char *object, uint32_t rule, int64_t created,
                                       const char *hosts, const char *matches)
{
    struct arena arena;
    arena_init(&arena, 1024);
    struct route *route = arena_new(&arena, struct route);
    atomic_init(&route->refs, 1);
    route->arena = arena;
    struct text name = text_of(object), part = TEXT_NONE;
    text_split(&name, '/', &part);
    route->resource = arena_printf(&route->arena, "default/web/http|HTTPRoute/%s/%u", object, rule);
    route->kind = TEXT("HTTPRoute");
    route->namespace = arena_text(&route->arena, part);
    route->name = arena_text(&route->arena, name);
    route->label = arena_printf(&route->arena, "%s#%u", object, rule);
    route->rule = rule;
    route->created = created;
    route->hostnames = arena_array(&route->arena, struct text, 8);
    struct text list = text_of(hosts);
    while (list.len > 0 && text_split(&list, ',', &part))
        route->hostnames[route->hostname_count++] = arena_text(&route->arena, part);
    route->matches = arena_array(&route->arena, struct route_match, 8);
    const char *at = matches;
    for (const char *bar; (bar = strstr(at, " | ")) != NULL; at = bar + 3)
        make_match(route, text_from(at, (size_t)(bar - at)), &route->matches[route->match_count++]);
    make_match(route, text_of(at), &route->matches[route->match_count++]);
    return route;
}

static inline void make_request(struct message *request, struct arena *arena, const char *line)
{
    struct text rest = text_of(line), word;
    message_init(request);
    text_split(&rest, ' ', &request->method_name);
    request->method = message_method(request->method_name);
    text_split(&rest, ' ', &request->host);
    request->authority = request->host;
    text_split(&rest, ' ', &word);
    size_t mark = text_find(word, '?', 0);
    request->path = text_slice(word, 0, mark);
    request->has_query = mark < word.len;
    request->query = text_slice(word, mark + 1, word.len);
    while (text_split(&rest, ' ', &word)) {
        size_t equals = text_find(word, '=', 0);
        if (word.len > 2)
            message_add(request, arena, text_slice(word, 2, equals),
                        text_slice(word, equals + 1, word.len));
    }
}

/* The table with one more route; the old one is given back, the route belongs to the table. */
static inline struct route_table *with_route(struct route_table *table, struct route *route)
{
    struct route_edit edit = {.add = route};
    struct route_table *made = route_table_edit(table, &edit, 1);
    route_table_unref(table);
    route_unref(route);
    return made;
}

/* The label of the rule that serves the request, or "404". */
static inline const char *serve(const struct route_table *table, const char *line)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct message request;
    make_request(&request, &arena, line);
    struct route_hit hit = {0};
    bool found = route_table_match(table, &request, NULL, &hit);
    arena_fini(&arena);
    return found ? hit.route->label.data : "404";
}
