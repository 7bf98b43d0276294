/* The order of filters, waiting and answering: with filters made for the test. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange_make.h"

static char told[256];

static void tell(const char *what, const void *config)
{
    size_t len = strlen(told);
    snprintf(told + len, sizeof(told) - len, "%s%s ", what, (const char *)config);
}

static enum filter_verdict down(struct exchange *x, const void *config, void *state)
{
    (void)x;
    (void)state;
    tell(">", config);
    return FILTER_NEXT;
}

static enum filter_verdict up(struct exchange *x, const void *config, void *state)
{
    (void)x;
    (void)state;
    tell("<", config);
    return FILTER_NEXT;
}

static void end(struct exchange *x, const void *config, void *state)
{
    (void)x;
    (void)state;
    tell("end ", config);
}

static enum filter_verdict answer(struct exchange *x, const void *config, void *state)
{
    (void)state;
    tell("!", config);
    exchange_respond(x, 403, FLAG_NONE, "test");
    exchange_respond_body(x, TEXT("text/plain"), TEXT("no\n"));
    return FILTER_RESPOND;
}

/* Waits the first time it is asked, as its state says. */
static enum filter_verdict wait_once(struct exchange *x, const void *config, void *state)
{
    (void)x;
    int *asked = state;
    tell((*asked)++ == 0 ? "wait " : ">", config);
    return *asked == 1 ? FILTER_WAIT : FILTER_NEXT;
}

static const struct filter_type PLAIN = {
    .name = "plain", .on_request = down, .on_response = up, .on_end = end};
static const struct filter_type ANSWER = {
    .name = "answer", .on_request = answer, .on_response = up, .on_end = end};
static const struct filter_type WAIT = {.name = "wait",
                                        .state_size = sizeof(int),
                                        .on_request = wait_once,
                                        .on_response = wait_once,
                                        .on_end = end};

static void run(struct exchange_make *make, const struct filter_type *const *types, size_t count)
{
    static char names[4][2] = {"1", "2", "3", "4"};
    struct filter_step steps[4];
    for (size_t i = 0; i < count; i++)
        steps[i] = (struct filter_step){.type = types[i], .config = names[i]};
    make_exchange(make, "/", 0);
    make->route.filters = chain_new(&make->arena, steps, count);
    told[0] = '\0';
}

static void requests_go_down_and_responses_come_back_up(void **state)
{
    (void)state;
    struct exchange_make make;
    run(&make, (const struct filter_type *const[]){&PLAIN, &PLAIN, &PLAIN}, 3);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    make_answer(&make, 200);
    chain_run_end(&make.x);
    assert_string_equal(told, ">1 >2 >3 <3 <2 <1 end 3 end 2 end 1 ");
    make_end(&make);
}

static void a_response_meets_what_its_request_met_in_reverse(void **state)
{
    (void)state;
    struct exchange_make make;
    run(&make, (const struct filter_type *const[]){&PLAIN, &ANSWER, &PLAIN}, 3);
    assert_int_equal(chain_run_request(&make.x), FILTER_RESPOND);
    assert_int_equal(make.x.response->status, 403);
    assert_int_equal(make.x.response->content_length, 3);
    assert_true(text_is(make.x.local_body, "no\n"));
    assert_int_equal(chain_run_response(&make.x), FILTER_NEXT);
    chain_run_end(&make.x);
    assert_string_equal(told, ">1 !2 <2 <1 end 2 end 1 ");
    make_end(&make);
}

static void who_waits_is_asked_again(void **state)
{
    (void)state;
    struct exchange_make make;
    run(&make, (const struct filter_type *const[]){&PLAIN, &WAIT, &PLAIN}, 3);
    assert_int_equal(chain_run_request(&make.x), FILTER_WAIT);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    assert_string_equal(told, ">1 wait 2 >2 >3 ");
    make_end(&make);
}

static void who_still_waits_gives_back_what_it_has(void **state)
{
    (void)state;
    struct exchange_make make;
    run(&make, (const struct filter_type *const[]){&PLAIN, &WAIT, &PLAIN}, 3);
    assert_int_equal(chain_run_request(&make.x), FILTER_WAIT);
    chain_run_end(&make.x);
    chain_run_end(&make.x);
    assert_string_equal(told, ">1 wait 2 end 2 end 1 ");
    make_end(&make);
}

static void a_body_is_held_until_it_is_whole_or_too_long(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    assert_int_equal(exchange_hold(&make.x, 4), HELD_WHOLE); /* there is none */
    make.request.framing = FRAMING_LENGTH;
    make.request.content_length = 5;
    assert_int_equal(exchange_hold(&make.x, 4), HELD_TOO_LONG);
    make.request.framing = FRAMING_TUNNEL;
    make.request.wants_upgrade = true;
    assert_int_equal(exchange_hold(&make.x, 4), HELD_WHOLE);
    make.request.wants_upgrade = false;
    make.request.framing = FRAMING_CHUNKED;
    assert_int_equal(exchange_hold(&make.x, 4), HELD_WAIT);
    assert_int_equal(make.x.held.wanted, 5);
    buffer_init(&make.x.held.bytes, loop_buffers(make.x.loop));
    buffer_add(&make.x.held.bytes, "four", 4);
    make.x.held.is_whole = true;
    assert_int_equal(exchange_hold(&make.x, 4), HELD_WHOLE);
    assert_int_equal(exchange_hold(&make.x, 3), HELD_TOO_LONG); /* for another filter */
    buffer_fini(&make.x.held.bytes);
    make_end(&make);
}

static void the_backends_chain_is_inside_the_rules(void **state)
{
    (void)state;
    struct exchange_make make;
    static char name[] = "b";
    run(&make, (const struct filter_type *const[]){&PLAIN}, 1);
    struct filter_step step = {.type = &PLAIN, .config = name};
    make.backend.filters = chain_new(&make.arena, &step, 1);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    make.x.backend = &make.backend;
    assert_int_equal(chain_run_backend_request(&make.x), FILTER_NEXT);
    make_answer(&make, 200);
    assert_string_equal(told, ">1 >b <b <1 ");
    make_end(&make);
}

static void exchanges_without_filters_pass(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    assert_int_equal(chain_run_backend_request(&make.x), FILTER_NEXT);
    make_answer(&make, 200);
    make.x.hit.route = NULL;
    assert_int_equal(chain_run_request(&make.x), FILTER_NEXT);
    make_end(&make);
}

static void limits_come_first_and_rewrites_last(void **state)
{
    (void)state;
    struct exchange_make make;
    make_exchange(&make, "/", 0);
    static const struct filter_type *const GIVEN[] = {&filter_url_rewrite, &filter_redirect,
                                                      &filter_response_headers, &filter_rate_limit,
                                                      &filter_request_headers};
    struct filter_step steps[5];
    for (size_t i = 0; i < 5; i++)
        steps[i] = (struct filter_step){.type = GIVEN[i]};
    const struct filter_chain *chain = chain_new(&make.arena, steps, 5);
    assert_ptr_equal(chain->steps[0].type, &filter_rate_limit);
    assert_ptr_equal(chain->steps[1].type, &filter_request_headers);
    assert_ptr_equal(chain->steps[2].type, &filter_response_headers);
    assert_ptr_equal(chain->steps[3].type, &filter_redirect);
    assert_ptr_equal(chain->steps[4].type, &filter_url_rewrite);
    make_end(&make);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_down_and_responses_come_back_up),
        cmocka_unit_test(a_response_meets_what_its_request_met_in_reverse),
        cmocka_unit_test(who_waits_is_asked_again),
        cmocka_unit_test(who_still_waits_gives_back_what_it_has),
        cmocka_unit_test(a_body_is_held_until_it_is_whole_or_too_long),
        cmocka_unit_test(the_backends_chain_is_inside_the_rules),
        cmocka_unit_test(exchanges_without_filters_pass),
        cmocka_unit_test(limits_come_first_and_rewrites_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
