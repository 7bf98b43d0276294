/* What a match costs among 1, 100, 5,000 and 100,000 rules: as hosts, and as prefixes of one host.
 * "hot" asks for one rule again and again; "random" for 1,024 rules drawn at random, so that it
 * pays for the memory that the rules themselves lie in. The ratios are to the match among one rule,
 * asked in the same way. Of many short rounds, in turn with those of the other tables, the fastest
 * counts: other programs only ever add.
 * With arguments, one line alone: route_table_bench hosts|prefixes RULES [hot|random]. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "routes_make.h"

#define REQUESTS 1024u
#define ROUNDS   300
#define MATCHES  (REQUESTS * 4) /* few: a round that nobody interrupts */

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

struct subject {
    struct routes_make make;
    struct message *requests;
    double hot, random; /* ns a match, the fastest round */
};

static double measure(const struct subject *subject, unsigned count)
{
    const struct route_table *table = subject->make.snapshot->bindings[0]->listeners[0]->routes;
    uintptr_t found = 0;
    uint64_t began = clock_monotonic_ns();
    for (unsigned i = 0; i < MATCHES; i++) {
        struct route_hit hit;
        found += route_table_match(table, &subject->requests[i & (count - 1)], NULL, &hit);
    }
    double each = (double)(clock_monotonic_ns() - began) / MATCHES;
    if (found != MATCHES)
        abort();
    return each;
}

static void subject_make(struct subject *subject, bool as_hosts, unsigned rules)
{
    make_routes(&subject->make, as_hosts, rules);
    subject->requests = memory_alloc(sizeof(struct message) * REQUESTS);
    subject->hot = subject->random = 1e9;
    struct random random;
    random_seed(&random, 1);
    for (unsigned i = 0; i < REQUESTS; i++)
        make_request(&subject->requests[i], &subject->make.arena, as_hosts,
                     (unsigned)random_below(&random, rules));
}

/* `only`: 'h' or 'r', one of the two; 0: both. */
static void run(struct subject *subjects, size_t count, char only)
{
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t s = 0; s < count; s++) {
            struct subject *subject = &subjects[s];
            if (only != 'r')
                subject->hot = MIN(subject->hot, measure(subject, 1));
            if (only != 'h') {
                measure(subject, REQUESTS); /* the others left nothing of it in the caches */
                subject->random = MIN(subject->random, measure(subject, REQUESTS));
            }
        }
    }
}

static void subject_end(struct subject *subject)
{
    free(subject->requests);
    make_end(&subject->make);
}

static int run_all(void)
{
    static const unsigned SIZES[] = {1, 100, 5000, 100000};
    struct subject subjects[ARRAY_LEN(SIZES)];
    printf("%-9s %8s %9s %6s %11s %6s\n", "shape", "rules", "hot ns", "ratio", "random ns",
           "ratio");
    for (int as_hosts = 1; as_hosts >= 0; as_hosts--) {
        for (size_t s = 0; s < ARRAY_LEN(SIZES); s++)
            subject_make(&subjects[s], as_hosts, SIZES[s]);
        run(subjects, ARRAY_LEN(SIZES), 0);
        for (size_t s = 0; s < ARRAY_LEN(SIZES); s++) {
            const struct subject *it = &subjects[s], *one = &subjects[0];
            printf("%-9s %8u %9.1f %6.2f %11.1f %6.2f\n", as_hosts ? "hosts" : "prefixes", SIZES[s],
                   it->hot, it->hot / one->hot, it->random, it->random / one->random);
        }
        for (size_t s = 0; s < ARRAY_LEN(SIZES); s++)
            subject_end(&subjects[s]);
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
    struct subject subject;
    subject_make(&subject, argv[1][0] == 'h', (unsigned)rules);
    run(&subject, 1, argc > 3 ? argv[3][0] : 0);
    printf("%s %s: hot %.1f ns, random %.1f ns\n", argv[1], argv[2], subject.hot, subject.random);
    subject_end(&subject);
    return 0;
}
