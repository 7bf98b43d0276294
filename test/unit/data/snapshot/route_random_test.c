/* Random tables against a matcher that looks at every rule, while the table changes rule by rule;
 * and readers on other threads while it does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>

#include "base/random.h"
#include "data/snapshot/route_match.h"
#include "route_make.h"

#define ROUTES 48

/* Of 30 bytes, as many as stand in a line of a shard; and two that would be alike to a hash of two
 * words that does not tell which comes first. */
#define LONG   "/a/456789012345678901234567890"
#define TWIN_A "/aaaaaaa/bbbbbbb"
#define TWIN_B "/bbbbbbb/aaaaaaa"

/* Of 29 bytes: beside it stands one byte more in a line; and of as many as stand there alone. */
#define HOST_29 "h23456789.h23456789.h2345.b.c"
#define HOST_30 "h23456789.h23456789.h23456.b.c"

static const char *const HOSTS[] = {"",      "",         "a.b.c",   "*.b.c",       "*.c",
                                    "b.c",   "*.a.b.c",  "x.a.b.c", "*.b.c,a.b.c", HOST_29,
                                    HOST_30, "x" HOST_30};
static const char *const NAMES[] = {"a/x", "a-b/x", "a/y", "b/x"};
static const char *const PATHS[] = {"/",          "/a",    "/a/b",  "/a/b/c", "/b",       "=/",
                                    "=/a",        "=/a/",  "=/a/b", "~/a.*",  "~/.*b",    "~/a/b",
                                    "/ab",        "/a/b/", LONG,    LONG "3", LONG "3/b", "=" LONG,
                                    "=" LONG "3", TWIN_A,  TWIN_B};
/* Prefixes alone, of one depth, and the empty one. */
static const char *const PREFIXES[][6] = {
    {"/a", "/b", "/ab", "/abcdefghijklmn", "/abcdefghijklmno", "/"},
    {"/a/b", "/a/c", "/b/c", TWIN_A, TWIN_B, "/"},
    {"/a/b/c", "/a/b/ccccccccc", "/a/b/cccccccccc", "/a//c", "/b/c/c", "/a/b/456789012345678901"},
};
static const char *const EXTRAS[] = {"",       "",       "",         " h:k=1",      " h:k=2 h:l=1",
                                     " q:p=1", " q:p=2", " h:l~1|2", " q:p=1 q:r=1"};
static const char *const METHODS[] = {"", "", "", "GET ", "POST "};

#define PICK(random, list) (list)[random_below(random, ARRAY_LEN(list))]

static struct route *random_route(struct random *random)
{
    char matches[256] = "";
    size_t count = 1 + random_below(random, 3);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(matches);
        snprintf(matches + len, sizeof(matches) - len, "%s%s%s%s", i == 0 ? "" : " | ",
                 PICK(random, METHODS), PICK(random, PATHS), PICK(random, EXTRAS));
    }
    return make_route(PICK(random, NAMES), (uint32_t)random_below(random, 1000),
                      (int64_t)random_below(random, 3), PICK(random, HOSTS), matches);
}

/* Every host has few rules, most of which a path says all of. */
static struct route *random_prefix(struct random *random)
{
    size_t host = random_below(random, ARRAY_LEN(HOSTS));
    char match[64];
    snprintf(match, sizeof(match), "%s%s",
             PREFIXES[host % ARRAY_LEN(PREFIXES)][random_below(random, 6)],
             random_below(random, 4) == 0 ? PICK(random, EXTRAS) : "");
    return make_route(PICK(random, NAMES), (uint32_t)random_below(random, 1000),
                      (int64_t)random_below(random, 3), HOSTS[host], match);
}

static void random_line(struct random *random, char *line, size_t size)
{
    static const char *const REQUEST_HOSTS[] = {"a.b.c", "x.b.c", "x.a.b.c", "b.c",   "c",
                                                "q",     "z.c",   HOST_29,   HOST_30, "x" HOST_30};
    static const char *const REQUEST_PATHS[] = {"/",
                                                "/a",
                                                "/a/",
                                                "/a/b",
                                                "/a/b/",
                                                "/ab",
                                                "/a/b/c",
                                                "/b",
                                                "/b/b",
                                                "/c",
                                                "/a//b",
                                                LONG,
                                                LONG "/",
                                                LONG "3",
                                                LONG "3/b",
                                                LONG "34",
                                                LONG "/3",
                                                TWIN_A,
                                                TWIN_B,
                                                TWIN_A "/c",
                                                "/a/b/c/d/e/f/g/h/i",
                                                "/ab/b/c/d/e/f/g/h",
                                                "/b/c/c/d/e/f/g/h/i",
                                                "/abcdefghijklmn/b",
                                                "/abcdefghijklmno/b",
                                                "/a//c/d/e/f/g/h/i",
                                                "/a/b/ccccccccc/d",
                                                "/a/b/cccccccccc/d",
                                                "/a/b/456789012345678901/d",
                                                "/abc/b/c/d/e/f/g/h",
                                                "/a/b/cccccccccc"};
    static const char *const QUERIES[] = {"", "", "?p=1", "?p=2", "?p=1&r=1", "?p=2&p=1"};
    static const char *const FIELDS[] = {
        "", "", " h:k=1", " h:k=2 h:l=1", " h:l=2", " h:l=1 h:l=2"};
    snprintf(line, size, "%s %s %s%s%s", random_below(random, 2) == 0 ? "GET" : "POST",
             PICK(random, REQUEST_HOSTS), PICK(random, REQUEST_PATHS), PICK(random, QUERIES),
             PICK(random, FIELDS));
}

/* ---- the oracle: every rule, every host name, every match, by the words of the specification ----
 */

static bool host_fits(struct text pattern, struct text host)
{
    if (pattern.len == 0)
        return true;
    if (pattern.data[0] != '*')
        return text_equal(pattern, host);
    struct text suffix = text_slice(pattern, 1, pattern.len);
    return host.len > suffix.len && text_ends_with(host, suffix);
}

static bool path_fits(const struct route_match *match, struct text path)
{
    if (match->path_kind == PATH_EXACT)
        return text_equal(match->path, path);
    if (match->path_kind == PATH_REGEX)
        return regex_matches(match->path_regex, path);
    return text_starts_with(path, match->path) &&
           (path.len == match->path.len || path.data[match->path.len] == '/');
}

struct rank {
    uint64_t keys[10];
    struct text object;
    const struct route *route;
    const struct route_match *match;
};

static struct rank rank_of(const struct route *route, const struct route_match *match,
                           struct text pattern, struct arena *arena)
{
    bool wild = pattern.len > 0 && pattern.data[0] == '*';
    static const uint64_t KIND[] = {[PATH_EXACT] = 0, [PATH_REGEX] = 1, [PATH_PREFIX] = 2};
    return (struct rank){
        .keys = {pattern.len == 0 ? 2 : wild, 1000 - pattern.len, KIND[match->path_kind],
                 1000 - match->path.len, match->method.len == 0, 1000 - match->header_count,
                 1000 - match->query_count, (uint64_t)route->created},
        .object = arena_printf(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(route->namespace),
                               TEXT_ARG(route->name)),
        .route = route,
        .match = match,
    };
}

static bool is_before(const struct rank *a, const struct rank *b)
{
    for (size_t i = 0; i < ARRAY_LEN(a->keys); i++) {
        if (a->keys[i] != b->keys[i])
            return a->keys[i] < b->keys[i];
    }
    int order = text_compare(a->object, b->object);
    if (order != 0)
        return order < 0;
    if (a->route->rule != b->route->rule)
        return a->route->rule < b->route->rule;
    return a->match < b->match;
}

static const struct route *oracle(struct route **routes, const struct message *request,
                                  struct arena *arena)
{
    struct rank best = {0};
    struct text any = TEXT("");
    for (size_t r = 0; r < ROUTES; r++) {
        const struct route *route = routes[r];
        for (uint32_t h = 0; route != NULL && h < MAX(route->hostname_count, 1u); h++) {
            struct text pattern = route->hostname_count == 0 ? any : route->hostnames[h];
            if (!host_fits(pattern, request->host))
                continue;
            for (uint32_t m = 0; m < route->match_count; m++) {
                const struct route_match *match = &route->matches[m];
                struct route_match_loss loss;
                if (!path_fits(match, request->path) || !route_match_request(match, request, &loss))
                    continue;
                struct rank rank = rank_of(route, match, pattern, arena);
                if (best.route == NULL || is_before(&rank, &best))
                    best = rank;
            }
        }
    }
    return best.route;
}

static void compare(const struct route_table *table, struct route **routes, struct random *random,
                    int requests, uint64_t seed)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (int i = 0; i < requests; i++) {
        char line[256];
        random_line(random, line, sizeof(line));
        struct message request;
        make_request(&request, &arena, line);
        struct route_hit hit = {0};
        bool found = route_table_match(table, &request, NULL, &hit);
        const struct route *want = oracle(routes, &request, &arena);
        if ((found ? hit.route : NULL) != want)
            fail_msg("seed %llu: %s: %s instead of %s", (unsigned long long)seed, line,
                     found ? hit.route->label.data : "404",
                     want == NULL ? "404" : want->label.data);
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

static struct route_table *rebuild(struct route **routes)
{
    struct route_edit edits[ROUTES];
    for (size_t i = 0; i < ROUTES; i++)
        edits[i] = (struct route_edit){.add = routes[i]};
    struct route_table *empty = route_table_new();
    struct route_table *table = route_table_edit(empty, edits, ROUTES);
    route_table_unref(empty);
    return table;
}

static void count_entry(void *owner, const struct route *route, const struct route_match *match,
                        struct text hostname)
{
    uint64_t *sum = owner;
    *sum = *sum * 31 + (uintptr_t)route + (uintptr_t)match + hostname.len;
}

/* Every step changes a few rules; the old table must go on saying what it said. */
static void run_edits(struct route *(*make)(struct random *random))
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct random random;
        random_seed(&random, seed);
        struct route *routes[ROUTES] = {NULL};
        struct route_table *table = route_table_new();
        for (int step = 0; step < 40; step++) {
            struct route_edit edits[4];
            struct route *before[ROUTES];
            memcpy(before, routes, sizeof(before));
            size_t count = 1 + random_below(&random, 3);
            size_t first = random_below(&random, ROUTES - 4);
            for (size_t i = 0; i < count; i++) {
                bool gone = random_below(&random, 4) == 0;
                edits[i].remove = routes[first + i];
                edits[i].add = routes[first + i] = gone ? NULL : make(&random);
            }
            struct route_table *made = route_table_edit(table, edits, count);
            compare(made, routes, &random, 40, seed);
            compare(table, before, &random, 10, seed);
            for (size_t i = 0; i < count; i++)
                route_unref(edits[i].remove);
            route_table_unref(table);
            table = made;
        }
        struct route_table *fresh = rebuild(routes);
        uint64_t walked = 0, walked_fresh = 0;
        route_table_walk(table, &walked, count_entry);
        route_table_walk(fresh, &walked_fresh, count_entry);
        assert_int_equal(walked, walked_fresh);
        assert_int_equal(route_table_count(table), route_table_count(fresh));
        for (size_t i = 0; i < ROUTES; i++) {
            struct route_edit edit = {.remove = routes[i]};
            struct route_table *made = route_table_edit(table, &edit, 1);
            route_table_unref(table);
            table = made;
            route_unref(routes[i]);
        }
        assert_int_equal(route_table_count(table), 0);
        route_table_unref(fresh);
        route_table_unref(table);
    }
}

static void edited_tables_say_what_every_rule_together_says(void **state)
{
    (void)state;
    run_edits(random_route);
}

static void so_do_tables_of_few_prefixes_a_host(void **state)
{
    (void)state;
    run_edits(random_prefix);
}

/* ---- readers on other threads ---- */

struct shared {
    pthread_mutex_t lock;
    struct route_table *table;
    bool stop;
};

static void *read_for_ever(void *argument)
{
    struct shared *shared = argument;
    uintptr_t *hits = memory_new(uintptr_t);
    for (bool stop = false; !stop;) {
        pthread_mutex_lock(&shared->lock);
        struct route_table *table = route_table_ref(shared->table);
        stop = shared->stop;
        pthread_mutex_unlock(&shared->lock);
        for (int i = 0; i < 20; i++)
            *hits +=
                strcmp(serve(table, i % 2 == 0 ? "GET a.b.c /stay/x" : "GET q /a/b"), "404") != 0;
        route_table_unref(table);
    }
    return hits;
}

static void readers_see_whole_tables_while_others_are_made(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 7);
    struct shared shared = {.lock = PTHREAD_MUTEX_INITIALIZER, .table = route_table_new()};
    shared.table = with_route(shared.table, make_route("stay/here", 0, 0, "a.b.c", "/stay"));
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_for_ever, &shared), 0);
    struct route *live[64] = {NULL};
    for (int step = 0; step < 1500; step++) {
        size_t at = random_below(&random, ARRAY_LEN(live));
        struct route *made = random_route(&random);
        struct route_edit edit = {.remove = live[at], .add = made};
        struct route_table *next = route_table_edit(shared.table, &edit, 1);
        pthread_mutex_lock(&shared.lock);
        struct route_table *old = shared.table;
        shared.table = next;
        pthread_mutex_unlock(&shared.lock);
        route_table_unref(old);
        route_unref(live[at]);
        live[at] = made;
        assert_string_equal(serve(next, "GET a.b.c /stay"), "stay/here#0");
    }
    pthread_mutex_lock(&shared.lock);
    shared.stop = true;
    pthread_mutex_unlock(&shared.lock);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        void *hits;
        pthread_join(threads[i], &hits);
        assert_true(*(uintptr_t *)hits > 0);
        free(hits);
    }
    route_table_unref(shared.table);
    for (size_t i = 0; i < ARRAY_LEN(live); i++)
        route_unref(live[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edited_tables_say_what_every_rule_together_says),
        cmocka_unit_test(so_do_tables_of_few_prefixes_a_host),
        cmocka_unit_test(readers_see_whole_tables_while_others_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
