/* One line, one write. The state here is the exception the house allows: what a log line looks like
 * is a property of the process. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"

static const char *log_component = "nantian";
static bool log_as_text = true;
static _Atomic int log_threshold = LOG_INFO;
static _Atomic uint64_t log_lost;
static pthread_mutex_t log_writer = PTHREAD_MUTEX_INITIALIZER;

static const char *const LEVELS[] = {"debug", "info", "warn", "error"};

void log_setup(const char *component, bool as_text, enum log_level level)
{
    log_component = component;
    log_as_text = as_text;
    atomic_store(&log_threshold, level);
}

bool log_level_parse(struct text text, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(LEVELS); i++) {
        if (text_is(text, LEVELS[i])) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

uint64_t log_dropped(void)
{
    return atomic_load(&log_lost);
}

static void write_json(struct builder *line, enum log_level level, const char *message,
                       const struct log_field *fields, size_t count, size_t value_max)
{
    char now[25];
    clock_format(clock_wall_ns(), now);
    struct json json;
    json_init(&json, line, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "time", now);
    json_string(&json, "level", LEVELS[level]);
    json_string(&json, "component", log_component);
    json_string(&json, "msg", message);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key == NULL)
            continue;
        if (fields[i].is_number)
            json_int(&json, fields[i].key, fields[i].number);
        else
            json_text(&json, fields[i].key, text_slice(fields[i].text, 0, value_max));
    }
    json_object_end(&json);
}

static void write_text(struct builder *line, enum log_level level, const char *message,
                       const struct log_field *fields, size_t count, size_t value_max)
{
    char now[25];
    clock_format(clock_wall_ns(), now);
    builder_printf(line, "%.12s %-5s %s: %s", now + 11, LEVELS[level], log_component, message);
    for (size_t i = 0; i < count; i++) {
        bool is_empty = !fields[i].is_number && fields[i].text.len == 0;
        if (fields[i].key == NULL || is_empty) /* for people: what says nothing is in the way */
            continue;
        builder_printf(line, "  %s=", fields[i].key);
        if (fields[i].is_number)
            builder_printf(line, "%lld", (long long)fields[i].number);
        else
            json_escape(line, text_slice(fields[i].text, 0, value_max));
    }
}

/* A stuck reader must not stop the gateway: no room now means the line is lost, and counted. What
 * poll says of a pipe holds for PIPE_BUF bytes, and for one writer. */
static bool write_now(struct text line)
{
    struct pollfd sink = {.fd = STDERR_FILENO, .events = POLLOUT};
    pthread_mutex_lock(&log_writer);
    bool is_written = poll(&sink, 1, 0) == 1 && (sink.revents & POLLOUT) != 0 &&
                      write(STDERR_FILENO, line.data, line.len) == (ssize_t)line.len;
    pthread_mutex_unlock(&log_writer);
    return is_written;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t count)
{
    if ((int)level < atomic_load(&log_threshold))
        return;
    struct builder line = {0};
    size_t value_max = PIPE_BUF;
    do { /* the longest values are cut until the line fits */
        builder_clear(&line);
        if (log_as_text)
            write_text(&line, level, message, fields, count, value_max);
        else
            write_json(&line, level, message, fields, count, value_max);
        builder_add_char(&line, '\n');
        value_max /= 2;
    } while (line.len > PIPE_BUF && value_max > 0);
    if (line.len > PIPE_BUF || !write_now(builder_text(&line)))
        atomic_fetch_add(&log_lost, 1);
    builder_fini(&line);
}
