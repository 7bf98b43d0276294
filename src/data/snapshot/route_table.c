/* The router: see route_table.h. A host name leads to a virtual host (route_host.h); there exact
 * paths and prefixes stand in persistent hash maps, a prefix by the hash of its elements, of which
 * only the depths in use are asked for; regular expressions in a list. Each place holds its
 * candidates in order of precedence (route_set.h). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/route_table.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/regex.h"
#include "data/snapshot/route_host.h"
#include "data/snapshot/route_match.h"

struct route_table {
    _Atomic uint32_t refs;
    size_t count;
    struct host_table *hosts; /* owns; -> route_host */
};

/* ---- the table's life ---- */

struct route_table *route_table_new(void)
{
    struct route_table *table = memory_new(struct route_table);
    atomic_init(&table->refs, 1);
    return table;
}

struct route_table *route_table_ref(struct route_table *table)
{
    if (table != NULL)
        atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void route_table_unref(struct route_table *table)
{
    if (table == NULL || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) > 1)
        return;
    host_table_free(table->hosts, &route_host_ops);
    free(table);
}

size_t route_table_count(const struct route_table *table)
{
    return table->count;
}

/* ---- edits: to a list of places, sorted, then host by host and place by place ---- */

struct places {
    struct route_place *items;
    size_t count, cap;
};

static void places_add(struct places *places, struct route *route, bool remove)
{
    struct text any = TEXT("");
    uint32_t host_count = MAX(route->hostname_count, 1u);
    for (uint32_t h = 0; h < host_count; h++) {
        struct text hostname = route->hostname_count == 0 ? any : route->hostnames[h];
        for (uint32_t m = 0; m < route->match_count; m++) {
            const struct route_match *match = &route->matches[m];
            places->items =
                memory_grow(places->items, places->count, &places->cap, sizeof(struct route_place));
            struct route_place *place = &places->items[places->count++];
            *place = (struct route_place){.route = route,
                                          .match = match,
                                          .hostname = hostname,
                                          .host_hash = hash_text(hostname),
                                          .remove = remove};
            switch (match->path_kind) {
            case PATH_EXACT:
                place->kind = PLACE_EXACT;
                break;
            case PATH_REGEX:
                place->kind = PLACE_REGEX;
                break;
            case PATH_PREFIX:
                place->kind =
                    route_host_depth(match->path) > ROUTE_DEPTH_MAX ? PLACE_DEEP : PLACE_PREFIX;
                break;
            }
            if (place->kind == PLACE_EXACT || place->kind == PLACE_PREFIX)
                place->path_hash = hash_front(match->path); /* else 0: a list is one place */
        }
    }
}

static bool same_host(const struct route_place *a, const struct route_place *b)
{
    return a->host_hash == b->host_hash && text_equal(a->hostname, b->hostname);
}

static int place_compare(const void *left, const void *right)
{
    const struct route_place *a = left, *b = right;
    if (a->host_hash != b->host_hash)
        return a->host_hash < b->host_hash ? -1 : 1;
    int order = text_compare(a->hostname, b->hostname);
    if (order != 0)
        return order;
    return route_host_compare(a, b);
}

struct route_table *route_table_edit(const struct route_table *table,
                                     const struct route_edit *edits, size_t count)
{
    struct places places = {0};
    struct route_table *made = route_table_new();
    made->count = table->count;
    for (size_t i = 0; i < count; i++) {
        if (edits[i].remove != NULL) {
            places_add(&places, edits[i].remove, true);
            made->count--;
        }
        if (edits[i].add != NULL) {
            places_add(&places, edits[i].add, false);
            made->count++;
        }
    }
    if (places.count > 1)
        qsort(places.items, places.count, sizeof(places.items[0]), place_compare);
    struct host_edit *hosts = memory_alloc(sizeof(*hosts) * (places.count + 1));
    size_t host_count = 0;
    for (size_t from = 0, to; from < places.count; from = to) {
        const struct route_place *first = &places.items[from];
        for (to = from + 1; to < places.count && same_host(first, &places.items[to]); to++)
            continue;
        const struct route_host *old =
            host_table_get(table->hosts, &route_host_ops, first->hostname);
        hosts[host_count++] =
            (struct host_edit){first->hostname, route_host_edit(old, first, to - from)};
    }
    made->hosts = host_table_edit(table->hosts, &route_host_ops, hosts, host_count);
    for (size_t i = 0; i < host_count; i++)
        route_host_unref(hosts[i].value);
    free(hosts);
    free(places.items);
    return made;
}

/* ---- the match ---- */

struct search {
    const struct message *request;
    const struct route_recorder *recorder; /* NULL on the request path */
    struct route_hit *hit;
    bool won;
};

/* Is this the one? As the request path asks: where it failed is told to nobody. */
static inline bool fits(const struct search *search, const struct route_candidate *candidate)
{
    const struct message *request = search->request;
    struct route_match_loss loss;
    if (candidate->method != METHOD_OTHER && candidate->method != request->method)
        return false;
    return candidate->plain || route_match_request(candidate->match, request, &loss);
}

static inline void win(struct search *search, struct route *route, const struct route_match *match,
                       size_t prefix_len)
{
    search->won = true;
    *search->hit = (struct route_hit){.route = route, .match = match, .prefix_len = prefix_len};
}

static void tell(const struct search *search, const struct route_host *host,
                 const struct route_candidate *candidate, struct route_match_loss loss)
{
    search->recorder->on_candidate(search->recorder->owner, candidate->route, candidate->match,
                                   route_host_name(host), loss.words, loss.detail);
}

/* As `fits`, and `win`, but every candidate is told of and the search goes on. */
static void explain_one(struct search *search, const struct route_host *host,
                        const struct route_candidate *candidate, size_t prefix_len)
{
    struct route_match_loss loss = {NULL, TEXT_NONE};
    bool fits = route_match_request(candidate->match, search->request, &loss);
    if (fits && search->won)
        loss = (struct route_match_loss){"lower rank", TEXT_NONE};
    tell(search, host, candidate, loss);
    if (fits && !search->won)
        win(search, candidate->route, candidate->match, prefix_len);
}

/* True: the search is over. */
static inline bool try_one(struct search *search, const struct route_host *host,
                           const struct route_candidate *candidate, size_t prefix_len)
{
    if (UNLIKELY(search->recorder != NULL)) {
        explain_one(search, host, candidate, prefix_len);
        return false;
    }
    if (!fits(search, candidate))
        return false;
    win(search, candidate->route, candidate->match, prefix_len);
    return true;
}

__attribute__((noinline)) static bool try_set(struct search *search, const struct route_host *host,
                                              const struct route_set *set, size_t prefix_len)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (try_one(search, host, &set->items[i], prefix_len))
            return true;
    }
    return false;
}

/* What stands at a path; NULL: nothing. */
struct found {
    const struct shard_line *line;
    size_t len; /* of the path */
};

static inline struct found find_path(const struct shard_map *map, struct text path,
                                     const struct hash_element *element)
{
    struct text front = text_from(path.data, element->end);
    return (struct found){shard_map_find(map, &route_set_ops, element->hash, front), front.len};
}

static inline bool try_found(struct search *search, const struct route_host *host,
                             struct found found)
{
    const struct shard_line *line = found.line;
    if (line == NULL)
        return false;
    if (line->brief[0] == NULL || UNLIKELY(search->recorder != NULL))
        return try_set(search, host, line->value, found.len);
    win(search, line->brief[0], line->brief[1], found.len);
    return true;
}

static bool try_exact(struct search *search, const struct route_host *host)
{
    struct text path = search->request->path;
    struct hash_element all = {path.len, hash_front(path)};
    return try_found(search, host, find_path(route_host_paths(host)->exact, path, &all));
}

static bool try_regexes(struct search *search, const struct route_host *host)
{
    const struct route_set *regexes = route_host_paths(host)->regexes;
    for (uint32_t i = 0; i < regexes->count; i++) {
        const struct route_candidate *candidate = &regexes->items[i];
        if (regex_matches(candidate->match->path_regex, search->request->path)) {
            if (try_one(search, host, candidate, 0))
                return true;
        } else if (search->recorder != NULL) {
            struct route_match_loss loss = {"path does not match", candidate->match->path};
            tell(search, host, candidate, loss);
        }
    }
    return false;
}

/* Whole elements alone: "/a" begins "/a/b", not "/ab". */
static bool begins(struct text path, struct text prefix)
{
    return prefix.len == 0 ||
           (path.len >= prefix.len && text_equal_short(text_from(path.data, prefix.len), prefix) &&
            (path.len == prefix.len || path.data[prefix.len] == '/'));
}

static bool try_deep(struct search *search, const struct route_host *host)
{
    const struct route_set *deep = route_host_paths(host)->deep;
    for (uint32_t i = 0; i < deep->count; i++) {
        const struct route_candidate *candidate = &deep->items[i];
        struct text prefix = candidate->match->path;
        if (!begins(search->request->path, prefix))
            continue;
        if (try_one(search, host, candidate, prefix.len))
            return true;
    }
    return false;
}

__attribute__((noinline)) static bool try_depths(struct search *search,
                                                 const struct route_host *host, uint64_t depths)
{
    const struct shard_map *map = route_host_paths(host)->prefix;
    struct text path = search->request->path;
    struct hash_element elements[HASH_ELEMENTS_MAX];
    uint32_t count = hash_elements(path, '/', depths, elements);
    while (count-- > 0) {
        if (try_found(search, host, find_path(map, path, &elements[count])))
            return true;
    }
    return false;
}

__attribute__((noinline)) static struct found find_far(const struct shard_map *map,
                                                       struct text path, uint32_t depth)
{
    struct hash_element element;
    if (!hash_element(path, '/', depth, &element))
        return (struct found){NULL, 0};
    return find_path(map, path, &element);
}

/* Inlined: so the near ones need no call and few registers. */
__attribute__((always_inline)) static inline struct found
find_depth(const struct shard_map *map, struct text path, uint32_t depth)
{
    struct hash_near near;
    if (LIKELY(hash_element_near(path, '/', depth, &near)))
        return (struct found){shard_map_find_near(map, near.hash, near.bytes, near.end), near.end};
    return find_far(map, path, depth);
}

static inline bool try_prefixes(struct search *search, const struct route_host *host)
{
    const struct route_host_paths *paths = route_host_paths(host);
    uint64_t depths = paths->depths;
    if (LIKELY(paths->one_depth != 0)) { /* as most have it */
        if (try_found(search, host,
                      find_depth(paths->prefix, search->request->path, paths->one_depth)))
            return true;
        depths &= 1;
    }
    return depths != 0 && try_depths(search, host, depths);
}

static inline bool is_at(struct text path, struct text place, bool is_prefix)
{
    return is_prefix ? begins(path, place) : text_equal(path, place);
}

__attribute__((noinline)) static bool try_lone(struct search *search, const struct route_host *host)
{
    const struct route_set *set = route_host_lone(host);
    struct text place = route_set_path(set);
    return is_at(search->request->path, place, host->lone_kind == PLACE_PREFIX) &&
           try_set(search, host, set, place.len);
}

/* What the line of a host with prefixes of one depth tells: the host itself is not read. */
static inline bool try_brief_prefixes(struct search *search, const struct shard_line *line)
{
    uint32_t depth = (unsigned char)line->key[SHARD_KEY_MAX - 1];
    struct found found = find_depth(line->brief[1], search->request->path, depth);
    if (found.line == NULL || UNLIKELY(found.line->brief[0] == NULL)) {
        return try_found(search, line->value, found) ||
               (line->mark && try_depths(search, line->value, 1));
    }
    win(search, found.line->brief[0], found.line->brief[1], found.len);
    return true;
}

/* The same of a host with one place. */
static inline bool try_brief_lone(struct search *search, const struct shard_line *line)
{
    struct text place = shard_line_rest(line);
    if (!is_at(search->request->path, place, line->mark))
        return false;
    win(search, line->brief[0], line->brief[1], place.len);
    return true;
}

static inline bool try_brief(struct search *search, const struct shard_line *line)
{
    return line->brief[0] == NULL ? try_brief_prefixes(search, line) : try_brief_lone(search, line);
}

/* What comes before prefixes. */
__attribute__((noinline)) static bool try_others(struct search *search,
                                                 const struct route_host *host)
{
    const struct route_host_paths *paths = route_host_paths(host);
    return (paths->exact != NULL && try_exact(search, host)) ||
           (paths->regexes != NULL && try_regexes(search, host)) ||
           (paths->deep != NULL && try_deep(search, host));
}

__attribute__((noinline)) static bool try_host(struct search *search, const struct route_host *host)
{
    if (host->form == HOST_LONE)
        return try_lone(search, host);
    if (host->form == HOST_MIXED && try_others(search, host))
        return true;
    return try_prefixes(search, host);
}

bool route_table_match(const struct route_table *table, const struct message *request,
                       const struct route_recorder *recorder, struct route_hit *ret_hit)
{
    if (table->hosts == NULL)
        return false;
    struct search search = {.request = request, .recorder = recorder, .hit = ret_hit};
    struct host_cursor cursor = {0};
    const struct route_host *host;
    while ((host = host_table_next(table->hosts, &route_host_ops, request->host, &cursor)) !=
           NULL) {
        const struct shard_line *line = cursor.line;
        bool is_brief = line != NULL && line->brief[1] != NULL && LIKELY(recorder == NULL);
        if (is_brief                      ? try_brief(&search, line)
            : host->form == HOST_PREFIXES ? try_prefixes(&search, host)
                                          : try_host(&search, host))
            return true;
    }
    return search.won;
}

/* ---- the walk ---- */

struct entry {
    struct text hostname;
    uint8_t kind;
    struct route_candidate candidate;
};

struct entries {
    struct entry *items;
    size_t count, cap;
    const struct route_host *host;
};

static void collect_set(void *owner, enum place_kind kind, const struct route_set *set)
{
    struct entries *entries = owner;
    /* The deep ones are the longest of the prefixes. */
    uint8_t rank = (uint8_t)(kind == PLACE_DEEP ? PLACE_PREFIX : kind);
    for (uint32_t i = 0; i < set->count; i++) {
        entries->items =
            memory_grow(entries->items, entries->count, &entries->cap, sizeof(struct entry));
        entries->items[entries->count++] =
            (struct entry){route_host_name(entries->host), rank, set->items[i]};
    }
}

static void collect_host(void *owner, void *value)
{
    struct entries *entries = owner;
    entries->host = value;
    route_host_walk(value, entries, collect_set);
}

static int hostname_rank(struct text hostname)
{
    return hostname.len == 0 ? 2 : hostname.data[0] == '*';
}

static int entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int rank = hostname_rank(a->hostname) - hostname_rank(b->hostname);
    if (rank != 0)
        return rank;
    if (a->hostname.len != b->hostname.len && hostname_rank(a->hostname) == 1)
        return a->hostname.len > b->hostname.len ? -1 : 1;
    int order = text_compare(a->hostname, b->hostname);
    if (order != 0)
        return order;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind != PLACE_REGEX && a->candidate.match->path.len == b->candidate.match->path.len)
        order = text_compare(a->candidate.match->path, b->candidate.match->path);
    return order != 0 ? order : route_set_compare(&a->candidate, &b->candidate);
}

void route_table_walk(const struct route_table *table, void *owner,
                      void (*on_entry)(void *owner, const struct route *route,
                                       const struct route_match *match, struct text hostname))
{
    struct entries entries = {0};
    host_table_walk(table->hosts, &entries, collect_host);
    if (entries.count > 1)
        qsort(entries.items, entries.count, sizeof(struct entry), entry_compare);
    for (size_t i = 0; i < entries.count; i++) {
        const struct entry *entry = &entries.items[i];
        on_entry(owner, entry->candidate.route, entry->candidate.match, entry->hostname);
    }
    free(entries.items);
}
