/* What a match costs among 1, 100, 5,000 and 100,000 rules: as hosts, and as prefixes of one host.
 * "hot" asks for one rule again and again; "random" for 1,024 rules drawn at random, so that it
 * pays for the memory that the rules themselves lie in. The ratios are to the match among one rule,
 * asked in the same way. Of many short rounds the fastest counts: other programs only ever add.
 * With arguments, one line alone: route_table_bench hosts|prefixes RULES [hot|random]. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "routes_make.h"

#define REQUESTS 1024u
#define ROUNDS   60
#define MATCHES  (REQUESTS * 32)

static void make_request(struct message *request, struct arena *arena, bool as_hosts, unsigned at)
{
    message_init(request);
    request->method = METHOD_GET;
    request->method_name = TEXT("GET");
    request->host =
        text_of(make_string(arena, as_hosts ? "app-#.apps.example.com" : "apps.example.com", at));
    request->authority = request->host;
    request->path =
        text_of(make_string(arena, as_hosts ? "/api/items/42" : "/app-#/api/items/42", at));
    message_add(request, arena, TEXT("user-agent"), TEXT("curl/8.0"));
    message_add(request, arena, TEXT("accept"), TEXT("*/*"));
}

static double measure(const struct route_table *table, const struct message *requests,
                      unsigned count)
{
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        uintptr_t found = 0;
        uint64_t began = clock_monotonic_ns();
        for (unsigned i = 0; i < MATCHES; i++) {
            struct route_hit hit;
            found += route_table_match(table, &requests[i & (count - 1)], NULL, &hit);
        }
        double each = (double)(clock_monotonic_ns() - began) / MATCHES;
        if (found != MATCHES)
            abort();
        best = each < best ? each : best;
    }
    return best;
}

struct figures {
    double hot, random;
};

/* `only`: 'h' or 'r', one of the two; 0: both. */
static struct figures run(bool as_hosts, unsigned rules, char only)
{
    struct routes_make make;
    make_routes(&make, as_hosts, rules);
    struct message *requests = memory_alloc(sizeof(struct message) * REQUESTS);
    struct random random;
    random_seed(&random, 1);
    for (unsigned i = 0; i < REQUESTS; i++)
        make_request(&requests[i], &make.arena, as_hosts, (unsigned)random_below(&random, rules));
    const struct route_table *table = make.snapshot->bindings[0]->listeners[0]->routes;
    struct figures figures = {0};
    if (only != 'r')
        figures.hot = measure(table, requests, 1);
    if (only != 'h')
        figures.random = measure(table, requests, REQUESTS);
    free(requests);
    make_end(&make);
    return figures;
}

static int run_all(void)
{
    static const unsigned SIZES[] = {1, 100, 5000, 100000};
    printf("%-9s %8s %9s %6s %11s %6s\n", "shape", "rules", "hot ns", "ratio", "random ns",
           "ratio");
    for (int as_hosts = 1; as_hosts >= 0; as_hosts--) {
        struct figures one = {0};
        for (size_t s = 0; s < ARRAY_LEN(SIZES); s++) {
            struct figures it = run(as_hosts, SIZES[s], 0);
            one = s == 0 ? it : one;
            printf("%-9s %8u %9.1f %6.2f %11.1f %6.2f\n", as_hosts ? "hosts" : "prefixes", SIZES[s],
                   it.hot, it.hot / one.hot, it.random, it.random / one.random);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return run_all();
    uint64_t rules = 0;
    if (!text_to_u64(text_of(argv[2]), &rules) || rules == 0 || rules > 10000000)
        return 2;
    struct figures it = run(argv[1][0] == 'h', (unsigned)rules, argc > 3 ? argv[3][0] : 0);
    printf("%s %s: hot %.1f ns, random %.1f ns\n", argv[1], argv[2], it.hot, it.random);
    return 0;
}
