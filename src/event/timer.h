/* The wheel that holds a loop's timers: eight levels of 64 slots, one millisecond at the bottom.
 * Placing and removing cost the same whatever the number of timers. For event/loop.c only. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"

#define TIMER_LEVELS 8
#define TIMER_SLOTS  64

struct timer_wheel {
    uint64_t now_ms;               /* all slots up to here have fired */
    uint64_t filled[TIMER_LEVELS]; /* a bit a slot; may be set for an empty one, never reverse */
    struct timer *slots[TIMER_LEVELS][TIMER_SLOTS]; /* newest first */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);
/* Due at `due_ms`, which is later than the wheel's time. Lazy when it moves later. */
void timer_wheel_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);
void timer_wheel_disarm(struct timer *timer);
/* When the wheel must be turned next, or UINT64_MAX. */
uint64_t timer_wheel_next(struct timer_wheel *wheel);
/* Fires everything due up to `now_ms`, in the order of time. */
void timer_wheel_turn(struct timer_wheel *wheel, uint64_t now_ms);
