/* The timer wheel. A timer stands on the level of the highest bit (in groups of six) in which its
 * time differs from now, so slots of one level are all ahead of the present one, and everything on
 * a level is due before anything on the level above: the next event is one bit scan away. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "event/timer.h"

#define SLOT_BITS 6
#define TIME_MAX  ((1ull << (SLOT_BITS * TIMER_LEVELS)) - 1)

void timer_init(struct timer *timer, void *owner, void (*on_due)(void *owner))
{
    *timer = (struct timer){.owner = owner, .on_due = on_due};
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct timer_wheel){.now_ms = now_ms};
}

static void place(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t at = MAX(timer->due_ms, wheel->now_ms);
    uint64_t differs = (at ^ wheel->now_ms) | (TIMER_SLOTS - 1);
    int level = (63 - __builtin_clzll(differs)) / SLOT_BITS;
    uint64_t slot = (at >> (level * SLOT_BITS)) & (TIMER_SLOTS - 1);

    struct timer **head = &wheel->slots[level][slot];
    timer->placed_ms = timer->due_ms;
    timer->next = *head;
    if (timer->next != NULL)
        timer->next->slot = &timer->next;
    timer->slot = head;
    *head = timer;
    wheel->filled[level] |= 1ull << slot;
}

static void take_out(struct timer *timer)
{
    *timer->slot = timer->next;
    if (timer->next != NULL)
        timer->next->slot = timer->slot;
    timer->next = NULL;
    timer->slot = NULL;
}

void timer_wheel_arm(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms)
{
    timer->due_ms = MIN(due_ms, TIME_MAX);
    if (timer->slot != NULL) {
        if (timer->due_ms >= timer->placed_ms)
            return; /* its slot fires earlier and places it anew */
        take_out(timer);
    }
    place(wheel, timer);
}

void timer_wheel_disarm(struct timer *timer)
{
    if (timer->slot != NULL)
        take_out(timer);
    timer->due_ms = 0;
}

/* The first slot in time and when it begins; false when there is none. */
static bool first_slot(struct timer_wheel *wheel, int *ret_level, uint64_t *ret_slot,
                       uint64_t *ret_at)
{
    for (int level = 0; level < TIMER_LEVELS; level++) {
        while (wheel->filled[level] != 0) {
            uint64_t slot = (uint64_t)__builtin_ctzll(wheel->filled[level]);
            if (wheel->slots[level][slot] == NULL) {
                wheel->filled[level] &= ~(1ull << slot);
                continue;
            }
            int shift = level * SLOT_BITS;
            uint64_t above = wheel->now_ms >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
            *ret_level = level;
            *ret_slot = slot;
            *ret_at = above + (slot << shift);
            return true;
        }
    }
    return false;
}

uint64_t timer_wheel_next(struct timer_wheel *wheel)
{
    int level;
    uint64_t slot, at;
    return first_slot(wheel, &level, &slot, &at) ? at : UINT64_MAX;
}

/* Fires what is due in a list and places the rest again. The list is the oldest first here, and
 * callbacks may take any timer out of it. */
static void fire(struct timer_wheel *wheel, struct timer *newest)
{
    struct timer *list = NULL;
    while (newest != NULL) {
        struct timer *next = newest->next;
        newest->next = list;
        newest->slot = &list;
        if (list != NULL)
            list->slot = &newest->next;
        list = newest;
        newest = next;
    }
    while (list != NULL) {
        struct timer *timer = list;
        take_out(timer);
        if (timer->due_ms > wheel->now_ms) {
            place(wheel, timer);
            continue;
        }
        timer->due_ms = 0;
        timer->on_due(timer->owner);
    }
}

void timer_wheel_turn(struct timer_wheel *wheel, uint64_t now_ms)
{
    int level;
    uint64_t slot, at;
    while (first_slot(wheel, &level, &slot, &at) && at <= now_ms) {
        wheel->now_ms = MAX(at, wheel->now_ms);
        struct timer *newest = wheel->slots[level][slot];
        wheel->slots[level][slot] = NULL;
        wheel->filled[level] &= ~(1ull << slot);
        fire(wheel, newest);
    }
    wheel->now_ms = MAX(now_ms, wheel->now_ms);
}
