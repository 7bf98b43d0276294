/* What a match costs among 1, 100, 5,000 and 100,000 rules: as hosts, and as prefixes of one host.
 * "hot" asks for one rule again and again; "spread" for a different one each time, so that it pays
 * for the memory that the rules themselves lie in. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "routes_make.h"

#define REQUESTS 1024u
#define ROUNDS   15
#define MATCHES  200000u

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

int main(void)
{
    static const unsigned SIZES[] = {1, 100, 5000, 100000};
    printf("%-9s %8s %9s %6s %11s %6s\n", "shape", "rules", "hot ns", "ratio", "spread ns",
           "ratio");
    for (int as_hosts = 1; as_hosts >= 0; as_hosts--) {
        double hot_one = 0, spread_one = 0;
        for (size_t s = 0; s < ARRAY_LEN(SIZES); s++) {
            struct routes_make make;
            make_routes(&make, as_hosts, SIZES[s]);
            struct message *requests = memory_alloc(sizeof(struct message) * REQUESTS);
            struct random random;
            random_seed(&random, 1);
            for (unsigned i = 0; i < REQUESTS; i++)
                make_request(&requests[i], &make.arena, as_hosts,
                             (unsigned)random_below(&random, SIZES[s]));
            const struct route_table *table = make.snapshot->bindings[0]->listeners[0]->routes;
            double hot = measure(table, requests, 1);
            double spread = measure(table, requests, REQUESTS);
            hot_one = s == 0 ? hot : hot_one;
            spread_one = s == 0 ? spread : spread_one;
            printf("%-9s %8u %9.1f %6.2f %11.1f %6.2f\n", as_hosts ? "hosts" : "prefixes", SIZES[s],
                   hot, hot / hot_one, spread, spread / spread_one);
            free(requests);
            make_end(&make);
        }
    }
    return 0;
}
