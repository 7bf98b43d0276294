/* Rates by rule, address and header, the fields that tell of them, and what survives a change. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange_make.h"

static Nantian__Config__V1__RateLimit limit(uint32_t requests, uint32_t window_ms,
                                            Nantian__Config__V1__RateLimit__Key key)
{
    Nantian__Config__V1__RateLimit message = NANTIAN__CONFIG__V1__RATE_LIMIT__INIT;
    message.requests = requests;
    message.window_ms = window_ms;
    message.key = key;
    return message;
}

#define BY_ROUTE   NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__ROUTE
#define BY_ADDRESS NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__CLIENT_ADDRESS
#define BY_HEADER  NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__HEADER

/* One more request on the same rule. */
static bool passes(struct exchange_make *make)
{
    make->x.chain = NULL;
    loop_tick(make->x.loop);
    return chain_run_request(&make->x) == FILTER_NEXT;
}

static void the_request_after_the_last_is_told_when_to_come_back(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    char name[] = "per \"tenant\"";
    Nantian__Config__V1__RateLimit message = limit(3, 60000, BY_ROUTE);
    message.name = name;
    make_chain(&make, &filter_rate_limit, &message);
    for (int i = 0; i < 3; i++)
        assert_true(passes(&make));
    make_answer(&make, 200);
    assert_string_equal(make_value(make.x.response, "RateLimit-Policy", &make.arena),
                        "\"per \\\"tenant\\\"\";q=3;w=60");
    assert_string_equal(make_value(make.x.response, "RateLimit", &make.arena),
                        "\"per \\\"tenant\\\"\";r=0;t=60");
    assert_false(passes(&make));
    assert_int_equal(make.x.response->status, 429);
    assert_int_equal(make.x.flag, FLAG_RL);
    assert_int_equal(chain_run_response(&make.x), FILTER_NEXT);
    assert_string_equal(make_value(make.x.response, "Retry-After", &make.arena), "20");
    assert_string_equal(make_value(make.x.response, "RateLimit", &make.arena),
                        "\"per \\\"tenant\\\"\";r=0;t=60");
    make.now_ns += UINT64_C(20000000000);
    assert_true(passes(&make));
    assert_false(passes(&make));
    make_end(&make);
}

static void a_burst_is_more_than_the_rate_and_refills_at_the_rate(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    Nantian__Config__V1__RateLimit message = limit(10, 1000, BY_ROUTE);
    message.burst = 30;
    make_chain(&make, &filter_rate_limit, &message);
    int passed = 0;
    for (int i = 0; i < 50; i++)
        passed += passes(&make);
    assert_int_equal(passed, 30);
    make.now_ns += 1000000000;
    for (int i = 0; i < 50; i++)
        passed += passes(&make);
    assert_int_equal(passed, 40);
    make.now_ns += UINT64_C(3600000000000);
    for (int i = 0; i < 50; i++)
        passed += passes(&make);
    assert_int_equal(passed, 70);
    make_end(&make);
}

static void each_client_address_has_its_own_and_ipv6_counts_by_network(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    Nantian__Config__V1__RateLimit message = limit(1, 1000, BY_ADDRESS);
    make_chain(&make, &filter_rate_limit, &message);
    assert_true(passes(&make));
    assert_false(passes(&make));
    assert_true(address_parse(TEXT("192.0.2.1"), 999, &make.x.peer));
    assert_false(passes(&make)); /* another port is the same client */
    assert_true(address_parse(TEXT("192.0.2.2"), 999, &make.x.peer));
    assert_true(passes(&make));
    assert_true(address_parse(TEXT("2001:db8:0:1::1"), 1, &make.x.peer));
    assert_true(passes(&make));
    assert_true(address_parse(TEXT("2001:db8:0:1:ffff::2"), 1, &make.x.peer));
    assert_false(passes(&make));
    assert_true(address_parse(TEXT("2001:db8:0:2::1"), 1, &make.x.peer));
    assert_true(passes(&make));
    make_end(&make);
}

static void each_value_of_a_header_has_its_own(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    char header[] = "x-tenant";
    Nantian__Config__V1__RateLimit message = limit(1, 1000, BY_HEADER);
    message.header = header;
    make_chain(&make, &filter_rate_limit, &message);
    assert_true(passes(&make)); /* without the field: one key of their own */
    assert_false(passes(&make));
    message_set(&make.request, &make.arena, TEXT("X-Tenant"), TEXT("a"));
    assert_true(passes(&make));
    assert_false(passes(&make));
    message_set(&make.request, &make.arena, TEXT("X-Tenant"), TEXT("b"));
    assert_true(passes(&make));
    make_end(&make);
}

static void a_limit_goes_on_counting_unless_it_changes_itself(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    Nantian__Config__V1__RateLimit message = limit(2, 1000, BY_ROUTE);
    make_chain(&make, &filter_rate_limit, &message);
    struct filter_chain *first = make.route.filters;
    assert_true(passes(&make) && passes(&make) && !passes(&make));

    make_chain(&make, &filter_rate_limit, &message);
    chain_adopt(make.route.filters, first);
    chain_release(first);
    assert_false(passes(&make));

    struct filter_chain *second = make.route.filters;
    message.requests = 3;
    make_chain(&make, &filter_rate_limit, &message);
    chain_adopt(make.route.filters, second);
    chain_release(second);
    assert_true(passes(&make));
    make_end(&make);
}

static void limits_without_sense_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    Nantian__Config__V1__RateLimit message = limit(0, 1000, BY_ROUTE);
    assert_string_equal(make_refusal(&filter_rate_limit, &message, &arena),
                        "requests: is 0: nothing would pass");
    message = limit(1, 0, BY_ROUTE);
    assert_string_equal(make_refusal(&filter_rate_limit, &message, &arena), "window_ms: is 0");
    message = limit(1, 1, BY_HEADER);
    assert_string_equal(make_refusal(&filter_rate_limit, &message, &arena),
                        "header: is empty, though it is the key");
    message = limit(1, 1, (Nantian__Config__V1__RateLimit__Key)9);
    assert_string_equal(make_refusal(&filter_rate_limit, &message, &arena),
                        "key: is of a kind that this proxy does not know");
    arena_fini(&arena);
}

static void extreme_limits_do_not_overflow(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    Nantian__Config__V1__RateLimit message = limit(1, UINT32_MAX, BY_ROUTE);
    message.burst = UINT32_MAX;
    make_chain(&make, &filter_rate_limit, &message);
    assert_true(passes(&make) && passes(&make));
    chain_release(make.route.filters);
    message = limit(UINT32_MAX, 1, BY_ROUTE);
    make_chain(&make, &filter_rate_limit, &message);
    for (int i = 0; i < 1000; i++)
        assert_true(passes(&make));
    make_end(&make);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_after_the_last_is_told_when_to_come_back),
        cmocka_unit_test(a_burst_is_more_than_the_rate_and_refills_at_the_rate),
        cmocka_unit_test(each_client_address_has_its_own_and_ipv6_counts_by_network),
        cmocka_unit_test(each_value_of_a_header_has_its_own),
        cmocka_unit_test(a_limit_goes_on_counting_unless_it_changes_itself),
        cmocka_unit_test(limits_without_sense_are_refused),
        cmocka_unit_test(extreme_limits_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
