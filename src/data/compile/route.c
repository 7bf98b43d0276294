/* Rules: one resource, one struct route in an arena of about the size it needs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "base/regex.h"
#include "data/compile/part.h"
#include "http/url.h"
#include "nantian/config/v1/route.pb-c.h"

#define WEIGHT_MAX 1000000u /* as the Gateway API has it; sums fit in 64 bits */

/* What the functions below share. */
struct work {
    struct change *change;
    const struct part *part;
    struct route *route;
};

__attribute__((format(printf, 4, 5))) static void refuse(struct work *work, const char *code,
                                                         struct text field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct text what = arena_vprintf(&work->change->scratch, format, args);
    va_end(args);
    struct fault fault = part_fault(work->change, work->part, code, field);
    faults_add(work->change->faults, &fault, TEXT_FMT, TEXT_ARG(what));
}

#define FIELD(work, ...) arena_printf(&(work)->change->scratch, __VA_ARGS__)

bool compile_hostname_is_valid(struct text hostname)
{
    if (hostname.len > LIMIT_HOSTNAME)
        return false;
    if (text_starts_with(hostname, TEXT("*.")))
        hostname = text_slice(hostname, 2, hostname.len);
    struct text label;
    if (hostname.len == 0 || text_ends_with(hostname, TEXT(".")))
        return false;
    while (text_split(&hostname, '.', &label)) {
        if (label.len == 0 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            char byte = label.data[i];
            if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
                  byte == '_'))
                return false;
        }
    }
    return true;
}

/* ---- names ---- */

/* `text` out of `whole` from `at` on, if it stands there; else a copy. */
static struct text share(struct arena *arena, struct text whole, size_t at, const char *string)
{
    struct text text = text_of(string);
    struct text there = text_slice(whole, at, at + text.len);
    return text_equal(there, text) ? there : arena_text(arena, text);
}

/* The resource's name holds all the other names of a well-named route: they are views of it. */
static void take_names(struct work *work, const Nantian__Config__V1__Route *message)
{
    struct route *route = work->route;
    struct arena *arena = &route->arena;
    route->resource = arena_text(arena, work->part->name);
    route->listener = share(arena, route->resource, 0, message->listener);
    size_t at = route->listener.len + 1;
    route->label = text_slice(route->resource, at, route->resource.len);
    struct text label = FIELD(work, "%s/%s/%s/%u", message->kind, message->namespace_,
                              message->name, message->rule);
    if (!text_equal(route->label, label))
        route->label = arena_text(arena, label);
    route->kind = share(arena, route->label, 0, message->kind);
    at = route->kind.len + 1;
    route->namespace = share(arena, route->label, at, message->namespace_);
    at += route->namespace.len + 1;
    route->name = share(arena, route->label, at, message->name);
    route->rule_name =
        message->rule_name[0] == '\0' ? TEXT_NONE : arena_text(arena, text_of(message->rule_name));
    route->rule = message->rule;
    route->created = message->created;
    route->is_grpc = text_is(route->kind, "GRPCRoute");
    route->is_unlogged = message->no_access_log;
    if (!route->is_grpc && !text_is(route->kind, "HTTPRoute") &&
        !text_is(route->kind, "TLSRoute") && !text_is(route->kind, "TCPRoute") &&
        !text_is(route->kind, "UDPRoute"))
        refuse(work, "UnknownKind", TEXT("kind"), "\"%s\" is no kind of route", message->kind);
}

static bool has_host(const struct route *route, struct text hostname)
{
    for (uint32_t i = 0; i < route->hostname_count; i++) {
        if (text_equal(route->hostnames[i], hostname))
            return true;
    }
    return false;
}

static void take_hostnames(struct work *work, const Nantian__Config__V1__Route *message)
{
    struct route *route = work->route;
    if (message->n_hostnames > 0)
        route->hostnames = arena_array(&route->arena, struct text, message->n_hostnames);
    for (size_t i = 0; i < message->n_hostnames; i++) {
        struct text hostname = text_of(message->hostnames[i]);
        if (!compile_hostname_is_valid(hostname))
            refuse(work, "InvalidHostname", FIELD(work, "hostnames[%zu]", i),
                   "\"%s\" is not a host name in lower case", message->hostnames[i]);
        else if (!has_host(route, hostname))
            route->hostnames[route->hostname_count++] = arena_text(&route->arena, hostname);
    }
}

/* ---- matches ---- */

static struct regex *take_regex(struct work *work, struct text pattern, struct text field)
{
    struct text why = TEXT_NONE;
    struct regex *regex = regex_new(pattern, &work->change->scratch, &why);
    if (regex == NULL)
        refuse(work, "InvalidRegex", field, "\"" TEXT_FMT "\" is no regular expression: " TEXT_FMT,
               TEXT_ARG(pattern), TEXT_ARG(why));
    return regex;
}

static void take_path(struct work *work, const Nantian__Config__V1__Route__Path *path,
                      struct route_match *match, size_t at)
{
    struct arena *arena = &work->route->arena;
    match->path = TEXT("");
    if (path == NULL || (path->type == NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__PREFIX &&
                         (path->value[0] == '\0' || text_is(text_of(path->value), "/"))))
        return;
    struct text value = text_of(path->value), normal;
    struct text field = FIELD(work, "matches[%zu].path", at);
    if (path->type == NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__REGEX) {
        match->path_kind = PATH_REGEX;
        match->path = arena_text(arena, value);
        match->path_regex = take_regex(work, value, field);
        return;
    }
    if ((unsigned)path->type > NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__REGEX) {
        refuse(work, "UnknownMatch", field, "is of a type that this proxy does not know");
        return;
    }
    /* Requests are routed in normal form (slashes merged), so that is what they meet here. */
    const char *why = "";
    if (!url_normalise(&work->change->scratch, value, true, &normal, &why)) {
        refuse(work, "InvalidPath", field, "\"%s\" is not a path (%s)", path->value, why);
        return;
    }
    match->path_kind =
        path->type == NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__EXACT ? PATH_EXACT : PATH_PREFIX;
    if (match->path_kind == PATH_PREFIX && text_ends_with(normal, TEXT("/")))
        normal.len--;
    match->path = arena_text(arena, normal);
}

static struct text lower(struct arena *arena, struct text name)
{
    char *copy = arena_string(arena, name);
    for (size_t i = 0; i < name.len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] | 0x20);
    }
    return text_from(copy, name.len);
}

static struct field_match *take_fields(struct work *work,
                                       Nantian__Config__V1__Route__Field *const *fields,
                                       size_t count, struct text list, bool is_header)
{
    struct arena *arena = &work->route->arena;
    if (count == 0)
        return NULL;
    struct field_match *made = arena_array(arena, struct field_match, count);
    for (size_t i = 0; i < count; i++) {
        struct text name = text_of(fields[i]->name), value = text_of(fields[i]->value);
        if (name.len == 0)
            refuse(work, "InvalidMatch", FIELD(work, TEXT_FMT "[%zu].name", TEXT_ARG(list), i),
                   "is empty");
        made[i].name = is_header ? lower(arena, name) : arena_text(arena, name);
        made[i].id = is_header ? name_lookup(name) : NAME_OTHER;
        made[i].value = arena_text(arena, value);
        if (fields[i]->regex)
            made[i].regex =
                take_regex(work, value, FIELD(work, TEXT_FMT "[%zu].value", TEXT_ARG(list), i));
    }
    return made;
}

static void take_matches(struct work *work, const Nantian__Config__V1__Route *message)
{
    struct route *route = work->route;
    route->match_count = MAX((uint32_t)message->n_matches, 1u);
    route->matches = arena_array(&route->arena, struct route_match, route->match_count);
    route->matches[0].path = TEXT(""); /* without matches: every request */
    for (size_t i = 0; i < message->n_matches; i++) {
        const Nantian__Config__V1__Route__Match *from = message->matches[i];
        struct route_match *match = &route->matches[i];
        take_path(work, from->path, match, i);
        if (from->method[0] != '\0')
            match->method = arena_text(&route->arena, text_of(from->method));
        match->header_count = (uint32_t)from->n_headers;
        match->headers = take_fields(work, from->headers, from->n_headers,
                                     FIELD(work, "matches[%zu].headers", i), true);
        match->query_count = (uint32_t)from->n_query;
        match->query = take_fields(work, from->query, from->n_query,
                                   FIELD(work, "matches[%zu].query", i), false);
    }
}

/* ---- what is done ---- */

static void take_backends(struct work *work, const Nantian__Config__V1__Route *message)
{
    struct route *route = work->route;
    struct change *change = work->change;
    if (message->n_backends == 0)
        return;
    route->backends = arena_array(&route->arena, struct weighted_backend, message->n_backends);
    route->backend_count = (uint32_t)message->n_backends;
    for (size_t i = 0; i < message->n_backends; i++) {
        const Nantian__Config__V1__WeightedBackend *from = message->backends[i];
        struct weighted_backend *backend = &route->backends[i];
        const struct part *part =
            part_find(change->compile, RESOURCE_BACKEND, text_of(from->backend));
        backend->slot = BACKEND_NONE;
        if (from->backend[0] != '\0' && !part_will_be(part))
            refuse(work, "UnknownBackend", FIELD(work, "backends[%zu].backend", i),
                   "there is no Backend \"%s\"", from->backend);
        else if (from->backend[0] != '\0')
            backend->slot = part->slot;
        if (from->weight > WEIGHT_MAX)
            refuse(work, "InvalidWeight", FIELD(work, "backends[%zu].weight", i), "%u is above %u",
                   from->weight, WEIGHT_MAX);
        backend->weight = from->weight;
        route->weight_sum += from->weight;
        backend->weight_end = route->weight_sum;
        backend->name = arena_text(&route->arena, text_of(from->backend));
        struct compile_filter_list list = {
            .items = from->filters,
            .count = from->n_filters,
            .field = FIELD(work, "backends[%zu].filters", i).data,
        };
        backend->filters = compile_filters(change, work->part, &route->arena, &list);
    }
    if (message->no_backends)
        route->weight_sum = 0;
}

static void take_retry(struct work *work, const Nantian__Config__V1__Route__Retry *from)
{
    struct route *route = work->route;
    if (from == NULL)
        return;
    if (from->attempts > LIMIT_RETRY_ATTEMPTS)
        refuse(work, "InvalidRetry", TEXT("retry.attempts"), "%u is above %d", from->attempts,
               LIMIT_RETRY_ATTEMPTS);
    route->retry = (struct retry_policy){.attempts = from->attempts,
                                         .backoff_ms = from->backoff_ms,
                                         .budget_ms = from->budget_ms,
                                         .connect_failure = from->connect_failure,
                                         .code_count = (uint32_t)from->n_codes};
    if (from->n_codes > 0)
        route->retry.codes = arena_array(&route->arena, uint16_t, from->n_codes);
    for (size_t i = 0; i < from->n_codes; i++) {
        if (from->codes[i] < 400 || from->codes[i] > 599)
            refuse(work, "InvalidRetry", FIELD(work, "retry.codes[%zu]", i),
                   "%u is not between 400 and 599", from->codes[i]);
        route->retry.codes[i] = (uint16_t)from->codes[i];
    }
}

static void release(struct route *route)
{
    chain_release(route->filters);
    for (uint32_t i = 0; i < route->backend_count; i++)
        chain_release(route->backends[i].filters);
}

/* Limits go on counting where the rule has the same filter as before. */
static void adopt(struct route *route, const struct route *before)
{
    if (before == NULL)
        return;
    chain_adopt(route->filters, before->filters);
    uint32_t both = MIN(route->backend_count, before->backend_count);
    for (uint32_t i = 0; i < both; i++)
        chain_adopt(route->backends[i].filters, before->backends[i].filters);
}

/* What a piece takes in an arena; strings have a NUL behind them. */
static size_t room(size_t size)
{
    return (size + 15) & ~(size_t)15;
}

static size_t room_string(const char *string)
{
    return string[0] == '\0' ? 0 : room(strlen(string) + 1);
}

static size_t room_fields(Nantian__Config__V1__Route__Field *const *fields, size_t count)
{
    size_t sum = room(sizeof(struct field_match) * count);
    for (size_t i = 0; i < count; i++)
        sum += room_string(fields[i]->name) + room(strlen(fields[i]->value) + 1);
    return sum;
}

/* What the arena of an ordinary route will hold, so that it is one block with nothing to spare. */
static size_t room_for(const Nantian__Config__V1__Route *message, size_t name)
{
    size_t sum = room(sizeof(struct route)) + room(name + 1) + room_string(message->rule_name);
    sum += room(message->n_hostnames * sizeof(struct text));
    for (size_t i = 0; i < message->n_hostnames; i++)
        sum += room_string(message->hostnames[i]);
    sum += room(MAX(message->n_matches, (size_t)1) * sizeof(struct route_match));
    for (size_t i = 0; i < message->n_matches; i++) {
        const Nantian__Config__V1__Route__Match *match = message->matches[i];
        sum += match->path == NULL ? 0 : room_string(match->path->value);
        sum += room_string(match->method) + room_fields(match->headers, match->n_headers) +
               room_fields(match->query, match->n_query);
    }
    sum += room(message->n_backends * sizeof(struct weighted_backend));
    for (size_t i = 0; i < message->n_backends; i++)
        sum +=
            room(strlen(message->backends[i]->backend) + 1) + message->backends[i]->n_filters * 256;
    return sum + message->n_filters * 256 + (message->retry == NULL ? 0 : 64);
}

void compile_route_uses(struct change *change, const struct route *route, int32_t delta)
{
    if (route == NULL)
        return;
    struct part *listener = part_find(change->compile, RESOURCE_LISTENER, route->listener);
    if (listener != NULL)
        part_use(change, listener, delta);
    compile_filters_uses(change, route->filters, delta);
    for (uint32_t i = 0; i < route->backend_count; i++) {
        struct part *backend =
            part_find(change->compile, RESOURCE_BACKEND, route->backends[i].name);
        if (backend != NULL)
            part_use(change, backend, delta);
        compile_filters_uses(change, route->backends[i].filters, delta);
    }
}

void compile_route(struct change *change, struct part *part, struct text bytes)
{
    Nantian__Config__V1__Route *message =
        part_message(change, part, &nantian__config__v1__route__descriptor, bytes);
    if (message == NULL)
        return;
    part_slot(change, part);
    struct arena arena;
    arena_init(&arena, room_for(message, part->name.len));
    struct route *route = arena_new(&arena, struct route);
    atomic_init(&route->refs, 1);
    route->arena = arena;
    route->slot = part->slot;
    route->release = release;
    part->next = route;

    struct work work = {change, part, route};
    take_names(&work, message);
    if (!part_will_be(part_find(change->compile, RESOURCE_LISTENER, route->listener)))
        refuse(&work, "UnknownListener", TEXT("listener"), "there is no Listener \"%s\"",
               message->listener);
    take_backends(&work, message); /* near the front: each request reads them */
    take_hostnames(&work, message);
    take_matches(&work, message);
    struct compile_filter_list list = {message->filters, message->n_filters, "filters"};
    route->filters = compile_filters(change, part, &route->arena, &list);
    take_retry(&work, message->retry);
    route->session = compile_session(change, part, message->session, &route->arena);
    route->request_timeout_ms = message->request_timeout_ms;
    route->backend_timeout_ms = message->backend_request_timeout_ms;
    route->connect_timeout_ms = message->connect_timeout_ms;
    route->header_bytes_max = message->header_bytes_max;
    route->body_bytes_max = message->body_bytes_max;
    adopt(route, part->value);
}
