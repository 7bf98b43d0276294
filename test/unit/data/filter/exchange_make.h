/* An exchange without a proxy: what a filter needs to be tried, and a clock that is turned by hand.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "base/memory.h"
#include "data/filter/chain.h"
#include "nantian/config/v1/filter.pb-c.h"
#include "test.h"

struct exchange_make {
    struct arena arena;
    struct exchange x;
    struct message request, upstream;
    struct route route;
    struct weighted_backend backend;
    struct listener_config listener;
    struct io io;
    uint64_t now_ns;
};

static inline uint64_t make_now(void *state)
{
    return *(uint64_t *)state;
}

/* A GET to http://example.org:`port`/path?query; the path's first `prefix_len` bytes matched. */
static inline void make_exchange(struct exchange_make *make, const char *target, size_t prefix_len)
{
    *make = (struct exchange_make){.now_ns = 1000000000000};
    arena_init(&make->arena, 0);
    message_init(&make->request);
    struct text text = text_of(target);
    size_t mark = text_find(text, '?', 0);
    make->request.method_name = TEXT("GET");
    make->request.scheme = TEXT("http");
    make->request.host = TEXT("example.org");
    make->request.authority = TEXT("example.org:8080");
    make->request.path = text_slice(text, 0, mark);
    make->request.has_query = mark < text.len;
    make->request.query = text_slice(text, mark + 1, text.len);
    make->listener.port = 80;
    make->io = (struct io){
        .state = &make->now_ns, .now_ns = make_now, .wall_ns = make_now, .seed = make_now};
    make->x.arena = &make->arena;
    make->x.loop = loop_new(&make->io);
    make->x.request = &make->request;
    make->x.listener = &make->listener;
    make->x.hit.route = &make->route;
    make->x.hit.prefix_len = prefix_len;
    assert_true(address_parse(TEXT("192.0.2.1"), 1234, &make->x.peer));
}

static inline void make_end(struct exchange_make *make)
{
    chain_run_end(&make->x);
    chain_release(make->route.filters);
    loop_free(make->x.loop);
    arena_fini(&make->arena);
}

/* The config of a message, which must be good. */
static inline void *make_config(struct exchange_make *make, const struct filter_type *type,
                                const void *message)
{
    const void *config = NULL;
    struct fault fault = {0};
    assert_int_equal(type->compile(message, &make->arena, &config, &fault), ERR_NONE);
    return (void *)(uintptr_t)config;
}

/* The chain of one filter, as the rule's. */
static inline void make_chain(struct exchange_make *make, const struct filter_type *type,
                              const void *message)
{
    struct filter_step step = {.type = type, .config = make_config(make, type, message)};
    make->route.filters = chain_new(&make->arena, &step, 1);
}

/* What the upstream answers: the response goes up the chain. */
static inline void make_answer(struct exchange_make *make, int status)
{
    message_init(&make->upstream);
    make->upstream.status = status;
    make->x.response = &make->upstream;
    assert_int_equal(chain_run_response(&make->x), FILTER_NEXT);
}

static inline const char *make_value(const struct message *message, const char *name,
                                     struct arena *arena)
{
    struct text joined = TEXT("");
    bool found = false;
    for (uint32_t i = 0; i < message->field_count; i++) {
        if (!text_equal_nocase(message->fields[i].name, text_of(name)))
            continue;
        joined = arena_printf(arena, TEXT_FMT "%s" TEXT_FMT, TEXT_ARG(joined), found ? "|" : "",
                              TEXT_ARG(message->fields[i].value));
        found = true;
    }
    return found ? arena_string(arena, joined) : "absent";
}

/* The words of the refusal. */
static inline const char *make_refusal(const struct filter_type *type, const void *message,
                                       struct arena *arena)
{
    const void *config = NULL;
    struct fault fault = {0};
    assert_int_equal(type->compile(message, arena, &config, &fault), ERR_INVALID);
    return arena_printf(arena, TEXT_FMT ": " TEXT_FMT, TEXT_ARG(fault.field), TEXT_ARG(fault.what))
        .data;
}
