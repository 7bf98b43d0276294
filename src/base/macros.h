/* The whole macro vocabulary of the project; what a function can do is not here. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#define ARRAY_LEN(array)                (sizeof(array) / sizeof((array)[0]))
#define CLEANUP(fn)                     __attribute__((cleanup(fn)))
#define MUST_USE                        __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, args)           __attribute__((format(printf, at, args)))
#define LIKELY(cond)                    __builtin_expect(!!(cond), 1)
#define UNLIKELY(cond)                  __builtin_expect(!!(cond), 0)
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A bug of ours, never an input: prints where and aborts, in release too. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (UNLIKELY(!(cond)))                                                                     \
            check_failed(#cond, __FILE__, __LINE__);                                               \
    } while (0)

__attribute__((noreturn, cold)) void check_failed(const char *what, const char *file, int line);
