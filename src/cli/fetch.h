/* One HTTP request, awaited: how the verbs ask a running gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "event/loop.h"
#include "net/address.h"

struct fetch_answer {
    int status; /* 0: nobody answered; `why` says how */
    const char *why;
    struct text body; /* in the arena */
};

/* Turns `loop` until the answer is there or the time is over. */
struct fetch_answer fetch_get(struct loop *loop, const struct address *to, struct text host,
                              struct text path, uint32_t timeout_ms, struct arena *arena);
