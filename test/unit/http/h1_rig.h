/* A serving connection on one end of a socket pair, with the owner of h1_rig_owner.h. The test
 * holds the other end: sends, reads, turns the loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/h1_rig_owner.h"

static inline void rig_open(struct rig *rig, struct loop *loop)
{
    int pair[2];
    struct address peer = {0};
    *rig = (struct rig){.loop = loop, .settings = {.merge_slashes = true, .allow_h2 = true}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    rig->fd = pair[1];
    rig->connection = http_serve(loop, pair[0], &peer, NULL, &rig->settings, &RIG_EVENTS, rig);
    assert_non_null(rig->connection);
}

static inline void rig_read(struct rig *rig)
{
    for (;;) {
        char *room = builder_reserve(&rig->got, 65536);
        ssize_t got = recv(rig->fd, room, 65536, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            rig->fd_ended = true;
            return;
        }
        rig->got.len += (size_t)got;
    }
}

/* Turns until nothing is ready any more; timers do not count. */
static inline void rig_settle(struct rig *rig)
{
    for (int i = 0; i < 4; i++) {
        loop_turn(rig->loop, 0);
        if (!rig->fd_ended)
            rig_read(rig);
    }
}

static inline void rig_send(struct rig *rig, struct text bytes)
{
    size_t at = 0;
    while (at < bytes.len) {
        ssize_t sent = send(rig->fd, bytes.data + at, bytes.len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* refused meanwhile */
        if (sent > 0)
            at += (size_t)sent;
        loop_turn(rig->loop, 0);
        rig_read(rig);
        if (rig->fd_ended)
            return;
    }
}

static inline void rig_turn_until(struct rig *rig, const bool *condition)
{
    uint64_t deadline = clock_monotonic_ns() + 10000000000ull;
    while (!*condition && clock_monotonic_ns() < deadline) {
        loop_turn(rig->loop, 10);
        if (!rig->fd_ended)
            rig_read(rig);
    }
    assert_true(*condition);
}

static inline void rig_close(struct rig *rig)
{
    close(rig->fd);
    if (rig->connection != NULL)
        http_close(rig->connection, ERR_NONE);
    rig->fd_ended = true;
    rig_settle(rig);
    assert_true(rig->closed);
    assert_int_equal(rig->streams, rig->streams_closed);
    builder_fini(&rig->seen);
    builder_fini(&rig->got);
}

/* The status codes of what the client read, as "200,400"; bodies are skipped by their length. */
static inline struct text rig_statuses(struct rig *rig, char *out, size_t size)
{
    struct text rest = text_from(rig->got.data, rig->got.len);
    size_t len = 0;
    while (rest.len >= 12 && text_starts_with(rest, TEXT("HTTP/1.1 "))) {
        char *end = memmem(rest.data, rest.len, "\r\n\r\n", 4);
        assert_non_null(end);
        struct text head = text_from(rest.data, (size_t)(end - rest.data));
        const char *at = memmem(head.data, head.len, "content-length: ", 16);
        uint64_t body = 0;
        if (at != NULL)
            for (at += 16; *at >= '0' && *at <= '9'; at++)
                body = body * 10 + (uint64_t)(*at - '0');
        if (memcmp(rest.data + 9, "100", 3) != 0)
            len += (size_t)snprintf(out + len, size - len, "%s%.3s", len > 0 ? "," : "",
                                    rest.data + 9);
        rest = text_slice(rest, head.len + 4 + body, rest.len);
    }
    assert_int_equal(rest.len, 0);
    return text_from(out, len);
}

static inline bool rig_saw(const struct rig *rig, struct text bytes)
{
    if (bytes.len == 0)
        return true;
    return rig->seen.len >= bytes.len &&
           memmem(rig->seen.data, rig->seen.len, bytes.data, bytes.len) != NULL;
}
