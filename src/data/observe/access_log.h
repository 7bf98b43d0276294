/* One line a request, built into the worker's own queue and written in batches; a slow sink never
 * holds traffic up: lines are dropped and counted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/observe/metrics.h"

#define ACCESS_LOG_PARTS 64 /* pieces of lines kept, by backend slot */
#define ACCESS_LOG_PART  960

/* What is equal in every line of one listener and backend in one snapshot, escaped once. */
struct access_log_part {
    uint64_t snapshot; /* its number: a pointer means one thing only within a snapshot */
    const struct listener_config *listener;
    uint32_t slot; /* of the backend */
    uint32_t len;
    char data[ACCESS_LOG_PART];
};

struct access_log {
    struct loop *loop;
    struct metrics *metrics; /* borrows: counts lines and losses */
    const char *path;        /* borrows; NULL: off; "stdout" */
    struct text node;        /* borrows */
    bool as_text;            /* Envoy's text format instead of JSON */
    int fd;                  /* owns; -1: off */
    bool is_socket;
    size_t write_max; /* at once: pipes keep this much in one piece */
    char *data;       /* owns: the queue, a straight piece of memory */
    size_t start, len, cap;
    bool is_torn; /* the sink has a line without its end */
    struct timer timer;
    struct access_log_part *parts; /* owns; made with the first line */
    uint64_t second;               /* that `stamp` is of */
    char stamp[25];                /* "2026-11-23T03:04:05." */
};

/* What the exchange itself does not have. Texts may be empty. */
struct access_log_entry {
    const struct exchange *x;
    int status; /* 0: no response was begun */
    uint64_t ended_ns, ended_wall_ns;
    struct text authority;   /* as the client sent it */
    struct text path;        /* as the client sent it, normalised */
    struct text peer, local; /* of the client's connection, with ports */
    struct text server_name; /* SNI */
    const char *tls_version; /* NULL: plain */
    const char *protocol;    /* "TCP", "TLS", "UDP"; NULL: the request's version of HTTP */
    const char *termination; /* why the client's connection ended early, or NULL */
};

/* `path`: "stdout", "off" or a file, opened for appending. False: it cannot be opened; errno says
 * why. */
MUST_USE bool access_log_open(struct access_log *log, struct loop *loop, struct metrics *metrics,
                              const char *path, bool as_text, struct text node);
void access_log_write(struct access_log *log, const struct access_log_entry *entry);
void access_log_flush(struct access_log *log);
/* After the file was moved away: what is queued goes to the old one. */
void access_log_reopen(struct access_log *log);
void access_log_close(struct access_log *log);
