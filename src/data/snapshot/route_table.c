/* The router: see route_table.h. A host name leads to a virtual host; there exact paths and
 * prefixes stand in persistent hash maps, by the hash of the path and of its first elements;
 * regular expressions in a list. Each place holds its candidates in order of precedence
 * (route_set.h). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/route_table.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/regex.h"
#include "data/snapshot/host_table.h"
#include "data/snapshot/route_match.h"
#include "data/snapshot/route_set.h"

/* Prefixes of more elements than this stand in a list: nobody writes them. */
#define DEPTH_MAX 63u

enum place_kind { PLACE_EXACT, PLACE_REGEX, PLACE_DEEP, PLACE_PREFIX }; /* in order of precedence */

struct virtual_host {
    _Atomic uint32_t refs;
    uint32_t depth_len;
    struct text hostname;    /* behind depth_counts */
    struct shard_map *exact; /* shares -> route_set */
    struct shard_map *prefix;
    struct route_set *regexes, *deep; /* shares */
    uint64_t depths;                  /* bit d: there are prefixes of d elements */
    uint32_t depth_counts[];          /* depth_len */
};

struct route_table {
    _Atomic uint32_t refs;
    size_t count;
    struct host_table *hosts; /* owns; -> virtual_host */
};

/* ---- what the maps must know ---- */

static void *ref_set(void *value)
{
    return route_set_ref(value);
}

static void unref_set(void *value)
{
    route_set_unref(value);
}

static struct text set_key(const void *value)
{
    return ((const struct route_set *)value)->path;
}

static const struct shard_ops SET_OPS = {.ref = ref_set, .unref = unref_set, .key = set_key};

static void *ref_host(void *value)
{
    struct virtual_host *host = value;
    atomic_fetch_add_explicit(&host->refs, 1, memory_order_relaxed);
    return host;
}

static void unref_host(void *value)
{
    struct virtual_host *host = value;
    if (atomic_fetch_sub_explicit(&host->refs, 1, memory_order_acq_rel) > 1)
        return;
    shard_map_unref(host->exact, &SET_OPS);
    shard_map_unref(host->prefix, &SET_OPS);
    route_set_unref(host->regexes);
    route_set_unref(host->deep);
    free(host);
}

static struct text host_key(const void *value)
{
    return ((const struct virtual_host *)value)->hostname;
}

static const struct host_ops HOST_OPS = {
    .exact = {.ref = ref_host, .unref = unref_host, .key = host_key},
    .wild = {.ref = ref_host, .unref = unref_host, .key = host_key, .key_skip = 1},
};

/* ---- the hash of a path's first elements, in one pass ---- */

#define HASH_START 0x9E3779B97F4A7C15u

/* `element` has its leading '/'. */
static uint64_t hash_element(uint64_t hash, struct text element)
{
    hash = (hash ^ hash_text(element)) * 0xD6E8FEB86659FD93u;
    return hash ^ (hash >> 32);
}

static size_t element_end(struct text path, size_t from)
{
    return text_find(path, '/', from + 1);
}

static uint64_t prefix_hash(struct text prefix, uint32_t *ret_depth)
{
    uint64_t hash = HASH_START;
    *ret_depth = 0;
    for (size_t at = 0; at < prefix.len; ++*ret_depth) {
        size_t end = element_end(prefix, at);
        hash = hash_element(hash, text_slice(prefix, at, end));
        at = end;
    }
    return hash;
}

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
    host_table_free(table->hosts, &HOST_OPS);
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
            uint32_t depth;
            switch (match->path_kind) {
            case PATH_EXACT:
                place->kind = PLACE_EXACT;
                place->path_hash = hash_text(match->path);
                break;
            case PATH_REGEX:
                place->kind = PLACE_REGEX;
                break;
            case PATH_PREFIX:
                place->path_hash = prefix_hash(match->path, &depth);
                place->kind = depth > DEPTH_MAX ? PLACE_DEEP : PLACE_PREFIX;
                break;
            }
            if (place->kind == PLACE_DEEP || place->kind == PLACE_REGEX)
                place->path_hash = 0; /* a list is one place */
        }
    }
}

static bool same_host(const struct route_place *a, const struct route_place *b)
{
    return a->host_hash == b->host_hash && text_equal(a->hostname, b->hostname);
}

static bool same_place(const struct route_place *a, const struct route_place *b)
{
    if (a->kind != b->kind || a->path_hash != b->path_hash)
        return false;
    return a->kind == PLACE_REGEX || a->kind == PLACE_DEEP ||
           text_equal(a->match->path, b->match->path);
}

static int place_compare(const void *left, const void *right)
{
    const struct route_place *a = left, *b = right;
    if (a->host_hash != b->host_hash)
        return a->host_hash < b->host_hash ? -1 : 1;
    int order = text_compare(a->hostname, b->hostname);
    if (order != 0)
        return order;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->path_hash != b->path_hash)
        return a->path_hash < b->path_hash ? -1 : 1;
    if (a->kind == PLACE_REGEX || a->kind == PLACE_DEEP)
        return 0;
    return text_compare(a->match->path, b->match->path);
}

/* `places` are of one kind, EXACT or PREFIX; `counts` (of prefixes by depth) may be NULL. */
static struct shard_map *edit_paths(const struct shard_map *old, const struct route_place *places,
                                    size_t count, uint32_t *counts)
{
    if (count == 0)
        return shard_map_ref((struct shard_map *)(uintptr_t)old);
    struct shard_edit *edits = memory_alloc(sizeof(*edits) * count);
    size_t edit_count = 0;
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && same_place(&places[from], &places[to]); to++)
            continue;
        struct text path = places[from].match->path;
        uint64_t hash = places[from].path_hash;
        const struct route_set *before = shard_map_get(old, &SET_OPS, hash, path);
        struct route_set *set = route_set_edit(before, path, places + from, to - from);
        edits[edit_count++] = (struct shard_edit){hash, path, set};
        if (counts != NULL) {
            uint32_t depth;
            prefix_hash(path, &depth);
            counts[depth] = counts[depth] + (set != NULL) - (before != NULL);
        }
    }
    struct shard_map *made = shard_map_edit(old, &SET_OPS, edits, edit_count);
    for (size_t i = 0; i < edit_count; i++)
        route_set_unref(edits[i].value);
    free(edits);
    return made;
}

static struct route_set *edit_list(struct route_set *old, const struct route_place *places,
                                   size_t count)
{
    return count == 0 ? route_set_ref(old) : route_set_edit(old, TEXT(""), places, count);
}

static size_t kind_end(const struct route_place *places, size_t count, size_t from, uint8_t kind)
{
    while (from < count && places[from].kind == kind)
        from++;
    return from;
}

/* The virtual host with these changes, or NULL when it has no rule left. */
static struct virtual_host *edit_host(const struct virtual_host *old,
                                      const struct route_place *places, size_t count)
{
    static const struct virtual_host NOTHING = {0};
    const struct virtual_host *from = old == NULL ? &NOTHING : old;
    size_t exact = kind_end(places, count, 0, PLACE_EXACT);
    size_t regex = kind_end(places, count, exact, PLACE_REGEX);
    size_t deep = kind_end(places, count, regex, PLACE_DEEP);
    uint32_t counts[DEPTH_MAX + 1] = {0};
    if (from->depth_len > 0)
        memcpy(counts, from->depth_counts, sizeof(uint32_t) * from->depth_len);
    struct virtual_host made = {
        .exact = edit_paths(from->exact, places, exact, NULL),
        .regexes = edit_list(from->regexes, places + exact, regex - exact),
        .deep = edit_list(from->deep, places + regex, deep - regex),
        .prefix = edit_paths(from->prefix, places + deep, count - deep, counts),
    };
    if (made.exact == NULL && made.prefix == NULL && made.regexes == NULL && made.deep == NULL)
        return NULL;
    for (uint32_t d = 0; d <= DEPTH_MAX; d++) {
        if (counts[d] > 0) {
            made.depth_len = d + 1;
            made.depths |= UINT64_C(1) << d;
        }
    }
    struct text hostname = places[0].hostname;
    size_t counts_size = sizeof(uint32_t) * made.depth_len;
    struct virtual_host *host = memory_alloc(sizeof(*host) + counts_size + hostname.len + 1);
    memcpy(host, &made, sizeof(made));
    atomic_init(&host->refs, 1);
    memcpy(host->depth_counts, counts, counts_size);
    char *name = (char *)host->depth_counts + counts_size;
    if (hostname.len > 0)
        memcpy(name, hostname.data, hostname.len);
    host->hostname = text_from(name, hostname.len);
    return host;
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
        const struct virtual_host *old = host_table_get(table->hosts, &HOST_OPS, first->hostname);
        hosts[host_count++] = (struct host_edit){first->hostname, edit_host(old, first, to - from)};
    }
    made->hosts = host_table_edit(table->hosts, &HOST_OPS, hosts, host_count);
    for (size_t i = 0; i < host_count; i++) {
        if (hosts[i].value != NULL)
            unref_host(hosts[i].value);
    }
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
    uint64_t exact_hash;
    bool exact_known;
    /* Hash and end of the first d elements, for d < known; filled as far as anybody asked. */
    uint32_t known;
    uint64_t hashes[DEPTH_MAX + 1];
    size_t ends[DEPTH_MAX + 1];
};

/* Tells the recorder; true: the search is over. */
static bool settle(struct search *search, const struct virtual_host *host,
                   const struct route_candidate *candidate, struct route_match_loss loss)
{
    if (UNLIKELY(search->recorder != NULL)) {
        if (search->won)
            loss = (struct route_match_loss){"lower rank", TEXT_NONE};
        search->recorder->on_candidate(search->recorder->owner, candidate->route, candidate->match,
                                       host->hostname, loss.words, loss.detail);
    }
    if (loss.words == NULL)
        search->won = true;
    return loss.words == NULL && search->recorder == NULL;
}

static bool try_one(struct search *search, const struct virtual_host *host,
                    const struct route_candidate *candidate, size_t prefix_len)
{
    struct route_match_loss loss = {NULL, TEXT_NONE};
    if (!search->won &&
        (candidate->any || route_match_request(candidate->match, search->request, &loss)))
        *search->hit = (struct route_hit){.route = candidate->route,
                                          .match = candidate->match,
                                          .hostname = host->hostname,
                                          .prefix_len = prefix_len};
    else if (LIKELY(search->recorder == NULL))
        return false;
    return settle(search, host, candidate, loss);
}

static bool try_set(struct search *search, const struct virtual_host *host,
                    const struct route_set *set, size_t prefix_len)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (try_one(search, host, &set->items[i], prefix_len))
            return true;
    }
    return false;
}

static bool try_exact(struct search *search, const struct virtual_host *host)
{
    struct text path = search->request->path;
    if (!search->exact_known) {
        search->exact_hash = hash_text(path);
        search->exact_known = true;
    }
    const struct route_set *set = shard_map_get(host->exact, &SET_OPS, search->exact_hash, path);
    return set != NULL && try_set(search, host, set, path.len);
}

static bool try_regexes(struct search *search, const struct virtual_host *host)
{
    for (uint32_t i = 0; i < host->regexes->count; i++) {
        const struct route_candidate *candidate = &host->regexes->items[i];
        if (regex_matches(candidate->match->path_regex, search->request->path)) {
            if (try_one(search, host, candidate, 0))
                return true;
        } else if (search->recorder != NULL) {
            struct route_match_loss loss = {"path does not match", candidate->match->path};
            settle(search, host, candidate, loss);
        }
    }
    return false;
}

static bool try_deep(struct search *search, const struct virtual_host *host)
{
    struct text path = search->request->path;
    for (uint32_t i = 0; i < host->deep->count; i++) {
        const struct route_candidate *candidate = &host->deep->items[i];
        struct text prefix = candidate->match->path;
        if (!text_starts_with(path, prefix) ||
            (path.len > prefix.len && path.data[prefix.len] != '/'))
            continue;
        if (try_one(search, host, candidate, prefix.len))
            return true;
    }
    return false;
}

/* Elements of the path that are hashed, at most `depth`. */
static uint32_t hash_up_to(struct search *search, uint32_t depth)
{
    struct text path = search->request->path;
    if (search->known == 0) {
        search->hashes[0] = HASH_START;
        search->ends[0] = 0;
        search->known = 1;
    }
    while (search->known <= depth) {
        uint32_t last = search->known - 1;
        size_t at = search->ends[last];
        if (at >= path.len)
            break;
        size_t end = element_end(path, at);
        search->hashes[last + 1] = hash_element(search->hashes[last], text_slice(path, at, end));
        search->ends[last + 1] = end;
        search->known++;
    }
    return MIN(depth, search->known - 1);
}

static bool try_prefixes(struct search *search, const struct virtual_host *host)
{
    uint32_t deepest = hash_up_to(search, host->depth_len - 1);
    uint64_t depths = host->depths & (UINT64_MAX >> (DEPTH_MAX - deepest));
    while (depths != 0) {
        uint32_t depth = DEPTH_MAX - (uint32_t)__builtin_clzll(depths);
        depths &= ~(UINT64_C(1) << depth);
        struct text prefix = text_slice(search->request->path, 0, search->ends[depth]);
        const struct route_set *set =
            shard_map_get(host->prefix, &SET_OPS, search->hashes[depth], prefix);
        if (set != NULL && try_set(search, host, set, prefix.len))
            return true;
    }
    return false;
}

static bool try_host(struct search *search, const struct virtual_host *host)
{
    return (host->exact != NULL && try_exact(search, host)) ||
           (host->regexes != NULL && try_regexes(search, host)) ||
           (host->deep != NULL && try_deep(search, host)) ||
           (host->prefix != NULL && try_prefixes(search, host));
}

bool route_table_match(const struct route_table *table, const struct message *request,
                       const struct route_recorder *recorder, struct route_hit *ret_hit)
{
    if (table->hosts == NULL)
        return false;
    struct search search; /* the hashes are filled as they are needed */
    search.request = request;
    search.recorder = recorder;
    search.hit = ret_hit;
    search.won = search.exact_known = false;
    search.known = 0;
    struct host_cursor cursor = {0};
    const struct virtual_host *host;
    while ((host = host_table_next(table->hosts, &HOST_OPS, request->host, &cursor)) != NULL) {
        if (try_host(&search, host))
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
    const struct virtual_host *host;
    uint8_t kind;
};

static void collect_set(void *owner, void *value)
{
    struct entries *entries = owner;
    const struct route_set *set = value;
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        entries->items =
            memory_grow(entries->items, entries->count, &entries->cap, sizeof(struct entry));
        entries->items[entries->count++] =
            (struct entry){entries->host->hostname, entries->kind, set->items[i]};
    }
}

static void collect_host(void *owner, void *value)
{
    struct entries *entries = owner;
    const struct virtual_host *host = value;
    entries->host = host;
    entries->kind = PLACE_EXACT;
    shard_map_walk(host->exact, entries, collect_set);
    entries->kind = PLACE_REGEX;
    collect_set(entries, host->regexes);
    entries->kind = PLACE_PREFIX; /* the deep ones are the longest of them */
    collect_set(entries, host->deep);
    shard_map_walk(host->prefix, entries, collect_set);
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
