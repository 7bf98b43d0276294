/* Clients and backends of a rig, on plain sockets: the test reads and writes both ends of the
 * worker and turns its loop meanwhile. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/clock.h"
#include "rig.h"

#define RIG_WAIT_MS 5000

struct rig_peer {
    int fd;
    struct builder got;
    bool ended;
};

static inline struct rig_peer rig_connect(struct rig *rig)
{
    struct rig_peer peer = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    int result = connect(peer.fd, &rig->address.any, rig->address.len);
    assert_true(result == 0 || errno == EINPROGRESS);
    return peer;
}

static inline struct rig_peer rig_accept(struct rig *rig, int backend)
{
    struct rig_peer peer = {.fd = -1};
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    while (peer.fd < 0) {
        assert_true(clock_monotonic_ns() < until);
        rig_turn(rig);
        peer.fd = accept4(rig->listening[backend], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    return peer;
}

static inline bool rig_try_accept(struct rig *rig, int backend)
{
    for (int i = 0; i < 10; i++)
        rig_turn(rig);
    int fd = accept4(rig->listening[backend], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static inline void rig_close_peer(struct rig_peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    builder_fini(&peer->got);
    peer->got = (struct builder){0};
}

static inline void rig_read(struct rig_peer *peer)
{
    for (;;) {
        char *at = builder_reserve(&peer->got, 65536);
        ssize_t got = recv(peer->fd, at, 65536, 0);
        if (got > 0) {
            peer->got.len += (size_t)got;
            continue;
        }
        if (got == 0 || errno != EAGAIN)
            peer->ended = true;
        return;
    }
}

static inline void rig_send(struct rig *rig, struct rig_peer *peer, struct text bytes)
{
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    while (bytes.len > 0) {
        assert_true(clock_monotonic_ns() < until);
        ssize_t sent = send(peer->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (sent > 0)
            bytes = text_slice(bytes, (size_t)sent, bytes.len);
        else if (errno != EAGAIN && errno != ENOTCONN)
            return; /* the other side is gone: what follows shows it */
        rig_turn(rig);
    }
}

static inline bool rig_has(const struct rig_peer *peer, const char *words)
{
    return peer->got.len > 0 && memmem(peer->got.data, peer->got.len, words, strlen(words)) != NULL;
}

/* Turns until the peer has read `words`. */
static inline void rig_expect(struct rig *rig, struct rig_peer *peer, const char *words)
{
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    for (;;) {
        rig_read(peer);
        if (rig_has(peer, words))
            return;
        if (peer->ended || clock_monotonic_ns() > until)
            fail_msg("expected \"%s\", got \"%.*s\"%s", words, (int)MIN(peer->got.len, 2000u),
                     peer->got.data == NULL ? "" : peer->got.data, peer->ended ? " and end" : "");
        rig_turn(rig);
    }
}

static inline void rig_expect_end(struct rig *rig, struct rig_peer *peer)
{
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    while (!peer->ended) {
        assert_true(clock_monotonic_ns() < until);
        rig_turn(rig);
        rig_read(peer);
    }
}

static inline void rig_forget(struct rig_peer *peer)
{
    builder_clear(&peer->got);
}

/* Waits until `bytes` of them were read. */
static inline void rig_expect_bytes(struct rig *rig, struct rig_peer *peer, size_t bytes)
{
    uint64_t until = clock_monotonic_ns() + RIG_WAIT_MS * UINT64_C(1000000);
    while (peer->got.len < bytes) {
        assert_true(clock_monotonic_ns() < until);
        rig_turn(rig);
        rig_read(peer);
    }
}

/* The access log so far. */
static inline struct builder rig_log(struct rig *rig)
{
    struct builder log = {0};
    access_log_flush(&rig->worker->proxy.log);
    FILE *file = fopen(rig->log_path, "re");
    assert_non_null(file);
    size_t got;
    do {
        char *at = builder_reserve(&log, 4096);
        got = fread(at, 1, 4096, file);
        log.len += got;
    } while (got > 0);
    fclose(file);
    builder_add_char(&log, '\0');
    return log;
}
