/* 100,000 rules compiled from nothing, what one of them weighs, and one change among them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "routes_make.h"

#define RULES   100000u
#define CHANGES 500u

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void report(const char *what, uint64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), compare);
    printf("  %-34s median %7.1f us, p99 %7.1f us\n", what, (double)times[count / 2] / 1e3,
           (double)times[count * 99 / 100] / 1e3);
}

static void run(bool as_hosts)
{
    struct routes_make make;
    struct make_cost cost = make_routes(&make, as_hosts, RULES);
    printf("%u rules as %s: %.3f s, %.0f bytes a rule\n", RULES,
           as_hosts ? "hosts" : "prefixes of one host", cost.seconds, cost.bytes_each);
    uint64_t times[CHANGES];
    struct random random;
    random_seed(&random, 2);
    for (int kind = 0; kind < 3; kind++) {
        for (unsigned i = 0; i < CHANGES; i++) {
            unsigned at = (unsigned)random_below(&random, RULES);
            struct compile_edit edit =
                kind < 2 ? make_route_edit(&make.arena, as_hosts, kind == 0 ? at : RULES + i, i + 1)
                         : make_endpoints_edit(&make.arena, at % BACKENDS, i + 1);
            uint64_t began = clock_monotonic_ns();
            make_apply(&make, &edit, 1);
            times[i] = clock_monotonic_ns() - began;
        }
        static const char *const KINDS[] = {"one rule changed", "one rule added",
                                            "one backend's endpoints changed"};
        report(KINDS[kind], times, CHANGES);
    }
    make_end(&make);
}

int main(void)
{
    run(true);
    run(false);
    return 0;
}
