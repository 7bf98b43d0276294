/* One JSON object a line on stderr (or as plain text), never blocking: lines are dropped and
 * counted when the sink is stuck; values are cut so that a line fits in PIPE_BUF. Planes log; base
 * to xds do not, debug level apart. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key; /* NULL: left out */
    struct text text;
    int64_t number;
    bool is_number;
};

static inline struct log_field log_text(const char *key, struct text text)
{
    return (struct log_field){key, text, 0, false};
}
static inline struct log_field log_str(const char *key, const char *string)
{
    return log_text(key, text_of(string));
}
/* A line or a column, counted from 1: 0 is not known, and left out. */
static inline struct log_field log_place(const char *key, uint32_t number)
{
    return (struct log_field){number == 0 ? NULL : key, TEXT_NONE, number, true};
}
static inline struct log_field log_int(const char *key, int64_t number)
{
    return (struct log_field){key, TEXT_NONE, number, true};
}

/* `component` is "control", "proxy", ...; `as_text` picks the human form. */
void log_setup(const char *component, bool as_text, enum log_level level);
MUST_USE bool log_level_parse(struct text text, enum log_level *ret_level);
void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count);
uint64_t log_dropped(void);

/* At least one field: log_info("snapshot applied", log_int("resources", n), log_text(...)); */
#define log_at(level, message, ...)                                                                \
    log_write(level, message, (const struct log_field[]){__VA_ARGS__},                             \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define log_debug(message, ...) log_at(LOG_DEBUG, message, __VA_ARGS__)
#define log_info(message, ...)  log_at(LOG_INFO, message, __VA_ARGS__)
#define log_warn(message, ...)  log_at(LOG_WARN, message, __VA_ARGS__)
#define log_error(message, ...) log_at(LOG_ERROR, message, __VA_ARGS__)
