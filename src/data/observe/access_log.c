/* Builds access log lines and hands them to the sink in whole lines, never waiting for it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/observe/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "data/observe/line.h"

#define FLUSH_BYTES 16384
#define FLUSH_MS    100

static void on_due(void *owner)
{
    access_log_flush(owner);
}

/* -- the sink -- */

/* A description of our own where that is possible, so that O_NONBLOCK does not reach whoever
 * shares our standard output. */
static int open_stdout(void)
{
    int fd = open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

static bool open_sink(struct access_log *log)
{
    struct stat stat;
    log->fd = strcmp(log->path, "stdout") == 0
                  ? open_stdout()
                  : open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640);
    if (log->fd < 0)
        return false;
    bool is_known = fstat(log->fd, &stat) == 0;
    log->is_socket = is_known && S_ISSOCK(stat.st_mode);
    log->write_max = is_known && S_ISFIFO(stat.st_mode) ? PIPE_BUF : 262144;
    return true;
}

bool access_log_open(struct access_log *log, struct loop *loop, struct metrics *metrics,
                     const char *path, bool as_text, struct text node)
{
    *log = (struct access_log){
        .loop = loop, .metrics = metrics, .path = path, .as_text = as_text, .node = node, .fd = -1};
    timer_init(&log->timer, log, on_due);
    if (path == NULL || strcmp(path, "off") == 0) {
        log->path = NULL;
        return true;
    }
    return open_sink(log);
}

void access_log_reopen(struct access_log *log)
{
    if (log->path == NULL)
        return;
    access_log_flush(log);
    int old = log->fd;
    if (open_sink(log))
        close(old);
    else
        log->fd = old;
}

void access_log_close(struct access_log *log)
{
    if (log->fd >= 0) {
        access_log_flush(log);
        close(log->fd);
    }
    log->fd = -1;
    if (log->loop != NULL)
        loop_disarm(log->loop, &log->timer);
    free(log->data);
    free(log->parts);
    log->parts = NULL;
    log->data = NULL;
    log->start = log->len = log->cap = 0;
}

/* Whole lines, at most what the sink keeps in one piece. */
static size_t next_piece(const struct access_log *log)
{
    const char *data = log->data + log->start;
    if (log->len <= log->write_max)
        return log->len;
    const char *end = memrchr(data, '\n', log->write_max);
    if (end == NULL)
        end = memchr(data, '\n', log->len);
    return end == NULL ? log->len : (size_t)(end - data) + 1;
}

static ssize_t write_piece(const struct access_log *log, size_t len)
{
    const char *data = log->data + log->start;
    return log->is_socket ? send(log->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : write(log->fd, data, len);
}

static void lose_queue(struct access_log *log)
{
    uint64_t lines = 0;
    const char *at = log->data + log->start, *end = at + log->len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        lines++;
        at++;
    }
    if (lines > 0 && log->data[log->start] == '\n')
        lines--; /* the end of one that was counted, or that is whole but for it */
    metrics_add(&log->metrics->log_dropped, lines);
    log->start = 0;
    log->len = log->is_torn ? 1 : 0; /* what follows begins on a line of its own */
    log->data[0] = '\n';
}

void access_log_flush(struct access_log *log)
{
    while (log->len > 0) {
        ssize_t written = write_piece(log, next_piece(log));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno != EAGAIN)
            lose_queue(log);
        if (written <= 0)
            break;
        log->start += (size_t)written;
        log->len -= (size_t)written;
        log->is_torn = log->data[log->start - 1] != '\n';
    }
    if (log->len == 0)
        log->start = 0;
    else if (!timer_is_armed(&log->timer))
        loop_arm(log->loop, &log->timer, FLUSH_MS);
}

/* Room for the longest line behind the queue; false when the sink is too far behind. */
static bool reserve(struct access_log *log)
{
    if (LIKELY(log->cap - log->start - log->len >= LIMIT_LOG_LINE))
        return true;
    if (log->len + LIMIT_LOG_LINE > LIMIT_LOG_QUEUE)
        return false;
    if (log->start > 0) {
        memmove(log->data, log->data + log->start, log->len);
        log->start = 0;
    }
    if (log->cap - log->len < LIMIT_LOG_LINE) {
        log->cap = MAX(log->cap * 2, (size_t)4 * LIMIT_LOG_LINE);
        log->data = memory_resize(log->data, log->cap);
    }
    return true;
}

/* -- the line -- */

static void put_time(struct access_log *log, struct line *line, uint64_t wall_ns)
{
    uint64_t second = wall_ns / 1000000000, ms = wall_ns / 1000000 % 1000;
    if (second != log->second) {
        clock_format(second * 1000000000, log->stamp);
        log->second = second;
    }
    line_raw(line, text_from(log->stamp, 20));
    *line->at++ = (char)('0' + ms / 100);
    *line->at++ = (char)('0' + ms / 10 % 10);
    *line->at++ = (char)('0' + ms % 10);
    *line->at++ = 'Z';
}

static void put_path(struct line *line, const struct access_log_entry *entry)
{
    const struct message *request = entry->x->request;
    line_escaped(line, entry->path, LINE_PATH_MAX);
    if (request->has_query) {
        *line->at++ = '?';
        line_query(line, request->query, LINE_PATH_MAX / 2);
    }
}

static void put_protocol(struct line *line, const struct access_log_entry *entry)
{
    uint8_t version = entry->x->request->version;
    if (entry->protocol != NULL)
        line_raw(line, text_of(entry->protocol));
    else if (version == 20)
        line_literal(line, "HTTP/2");
    else if (version == 10)
        line_literal(line, "HTTP/1.0");
    else
        line_literal(line, "HTTP/1.1");
}

static void put_request(struct line *line, const struct access_log_entry *entry)
{
    const struct exchange *x = entry->x;
    line_literal(line, "\",\"method\":\"");
    if (LIKELY(x->request->method != METHOD_OTHER))
        line_raw(line, x->request->method_name);
    else
        line_escaped(line, x->request->method_name, 64);
    line_literal(line, "\",\"x-envoy-origin-path\":\"");
    put_path(line, entry);
    line_literal(line, "\",\"protocol\":\"");
    put_protocol(line, entry);
    line_literal(line, "\",\"response_code\":");
    line_u64(line, (uint64_t)entry->status);
    line_literal(line, ",\"response_flags\":\"");
    line_raw(line, text_of(response_flag_name(x->flag)));
    line_literal(line, "\",\"response_code_details\":\"");
    line_raw(line, x->details == NULL ? TEXT("via_upstream") : text_of(x->details));
    line_literal(line, "\",\"connection_termination_details\":");
    line_value(line, text_of(entry->termination));
    line_literal(line, ",\"upstream_transport_failure_reason\":");
    line_value(line, text_of(x->upstream_failure));
    line_literal(line, ",\"bytes_received\":");
    line_u64(line, x->request_bytes);
    line_literal(line, ",\"bytes_sent\":");
    line_u64(line, x->response_bytes);
    line_literal(line, ",\"duration\":");
    line_u64(line, (entry->ended_ns - x->started_ns) / 1000000);
}

static void put_peers(struct line *line, const struct access_log_entry *entry)
{
    const struct exchange *x = entry->x;
    const struct message *request = x->request;
    line_literal(line, ",\"x-envoy-upstream-service-time\":");
    if (x->first_byte_ns > x->upstream_started_ns && x->upstream_started_ns > 0)
        line_u64(line, (x->first_byte_ns - x->upstream_started_ns) / 1000000);
    else
        line_literal(line, "null");
    line_literal(line, ",\"x-forwarded-for\":");
    line_value(line, message_value(request, NAME_X_FORWARDED_FOR));
    line_literal(line, ",\"user-agent\":");
    line_value(line, message_value(request, NAME_USER_AGENT));
    line_literal(line, ",\"x-request-id\":");
    line_value(line, message_value(request, NAME_X_REQUEST_ID));
    line_literal(line, ",\":authority\":");
    line_value(line, entry->authority);
    line_literal(line, ",\"upstream_host\":");
    line_value(line, x->upstream_address);
    line_literal(line, ",\"upstream_local_address\":");
    line_value(line, x->upstream_local);
    line_literal(line, ",\"downstream_local_address\":");
    line_value(line, entry->local);
    line_literal(line, ",\"downstream_remote_address\":");
    line_value(line, entry->peer);
    line_literal(line, ",\"requested_server_name\":");
    line_value(line, entry->server_name);
}

/* A name that the label holds: `there` in the line, if nothing had to be escaped in it. */
static const char *put_name(struct line *line, struct text name, const char *there)
{
    if (UNLIKELY(there == NULL || name.len == 0)) {
        line_value(line, name);
        return there == NULL ? NULL : there + name.len + 1;
    }
    *line->at++ = '"';
    line_again(line, text_from(there, name.len));
    *line->at++ = '"';
    return there + name.len + 1;
}

/* The label is "<kind>/<namespace>/<name>/<rule>": what needs no escape in it needs none alone. */
static void put_route(struct line *line, const struct route *route)
{
    if (UNLIKELY(route == NULL)) {
        line_literal(line, ",\"route_name\":null,\"route_kind\":null,\"route_namespace\":null,"
                           "\"route\":null,\"rule\":null");
        return;
    }
    line_literal(line, ",\"route_name\":");
    const char *label = line->at + 1;
    line_value(line, route->label);
    size_t names = route->kind.len + route->namespace.len + route->name.len;
    bool is_same = route->label.len <= LINE_VALUE_MAX / 2 &&   /* too short to be cut */
                   line->at == label + route->label.len + 1 && /* an escape is longer */
                   names + 3 < route->label.len;
    const char *there = is_same ? label : NULL;
    line_literal(line, ",\"route_kind\":");
    there = put_name(line, route->kind, there);
    line_literal(line, ",\"route_namespace\":");
    there = put_name(line, route->namespace, there);
    line_literal(line, ",\"route\":");
    put_name(line, route->name, there);
    line_literal(line, ",\"rule\":");
    line_u64(line, route->rule);
}

static void put_places(struct line *line, const struct access_log *log, const struct exchange *x)
{
    line_literal(line, ",\"gateway\":");
    line_value(line, x->listener == NULL ? TEXT_NONE : x->listener->gateway);
    line_literal(line, ",\"listener\":");
    line_value(line, x->listener == NULL ? TEXT_NONE : x->listener->name);
    struct text backend = x->backend == NULL ? TEXT_NONE : x->backend->name;
    line_literal(line, ",\"upstream_cluster\":");
    line_value(line, backend);
    line_literal(line, ",\"backend\":");
    line_value(line, backend);
    line_literal(line, ",\"snapshot\":");
    line_u64(line, x->snapshot_number);
    line_literal(line, ",\"node\":");
    line_value(line, log->node);
}

static void put_kept_places(struct line *line, struct access_log *log, const struct exchange *x)
{
    uint64_t snapshot = x->lease == NULL ? 0 : x->lease->snapshot->number;
    uint32_t slot = x->backend == NULL ? BACKEND_NONE : x->backend->slot;
    if (slot == BACKEND_NONE || snapshot == 0) {
        put_places(line, log, x);
        return;
    }
    if (UNLIKELY(log->parts == NULL))
        log->parts = memory_alloc(ACCESS_LOG_PARTS * sizeof(*log->parts));
    struct access_log_part *part = &log->parts[slot % ACCESS_LOG_PARTS];
    if (LIKELY(part->snapshot == snapshot && part->listener == x->listener && part->slot == slot)) {
        line_raw(line, text_from(part->data, part->len));
        return;
    }
    char *begin = line->at;
    put_places(line, log, x);
    size_t len = (size_t)(line->at - begin);
    if (len > ACCESS_LOG_PART)
        return;
    part->snapshot = snapshot;
    part->listener = x->listener;
    part->slot = slot;
    part->len = (uint32_t)len;
    memcpy(part->data, begin, len);
}

/* The middle of "00-<32 hex>-<16 hex>-01" (W3C Trace Context). */
static struct text trace_id(const struct message *request)
{
    struct text parent = message_value(request, NAME_TRACEPARENT);
    return parent.len >= 55 && parent.data[2] == '-' && parent.data[35] == '-'
               ? text_slice(parent, 3, 35)
               : TEXT_NONE;
}

static void put_ours(struct line *line, const struct access_log_entry *entry)
{
    const struct exchange *x = entry->x;
    line_literal(line, ",\"tls_version\":");
    line_value(line, text_of(entry->tls_version));
    line_literal(line, ",\"attempts\":");
    line_u64(line, x->tries);
    line_literal(line, ",\"trace_id\":");
    line_value(line, trace_id(x->request));
    line_literal(line, ",\"t_queue\":");
    line_ms(line,
            x->upstream_started_ns > x->started_ns ? x->upstream_started_ns - x->started_ns : 0);
    line_literal(line, ",\"t_connect\":");
    line_ms(line, x->connect_ns);
    line_literal(line, ",\"t_first_byte\":");
    line_ms(line, x->first_byte_ns > x->started_ns ? x->first_byte_ns - x->started_ns : 0);
    line_literal(line, ",\"t_last_byte\":");
    line_ms(line, entry->ended_ns - x->started_ns);
    if (UNLIKELY(x->rpc_status > 0)) {
        line_literal(line, ",\"grpc_status\":");
        line_u64(line, (uint64_t)x->rpc_status - 1);
    }
    line_literal(line, "}\n");
}

static void put_json(struct access_log *log, struct line *line,
                     const struct access_log_entry *entry, uint64_t wall_ns)
{
    line_literal(line, "{\"start_time\":\"");
    put_time(log, line, wall_ns);
    put_request(line, entry);
    put_peers(line, entry);
    put_route(line, entry->x->hit.route);
    put_kept_places(line, log, entry->x);
    put_ours(line, entry);
}

static void put_quoted(struct line *line, struct text value)
{
    line_literal(line, " \"");
    if (value.len == 0)
        *line->at++ = '-';
    else
        line_escaped(line, value, LINE_VALUE_MAX);
    *line->at++ = '"';
}

/* Envoy's default text format. */
static void put_text(struct access_log *log, struct line *line,
                     const struct access_log_entry *entry, uint64_t wall_ns)
{
    const struct exchange *x = entry->x;
    *line->at++ = '[';
    put_time(log, line, wall_ns);
    line_literal(line, "] \"");
    line_escaped(line, x->request->method_name, 64);
    *line->at++ = ' ';
    put_path(line, entry);
    *line->at++ = ' ';
    put_protocol(line, entry);
    line_literal(line, "\" ");
    line_u64(line, (uint64_t)entry->status);
    *line->at++ = ' ';
    line_raw(line, text_of(response_flag_name(x->flag)));
    *line->at++ = ' ';
    line_u64(line, x->request_bytes);
    *line->at++ = ' ';
    line_u64(line, x->response_bytes);
    *line->at++ = ' ';
    line_u64(line, (entry->ended_ns - x->started_ns) / 1000000);
    put_quoted(line, message_value(x->request, NAME_X_FORWARDED_FOR));
    put_quoted(line, message_value(x->request, NAME_USER_AGENT));
    put_quoted(line, message_value(x->request, NAME_X_REQUEST_ID));
    put_quoted(line, entry->authority);
    put_quoted(line, x->upstream_address);
    put_quoted(line, x->hit.route == NULL ? TEXT_NONE : x->hit.route->label);
    *line->at++ = '\n';
}

void access_log_write(struct access_log *log, const struct access_log_entry *entry)
{
    const struct route *route = entry->x->hit.route;
    if (log->fd < 0 || (route != NULL && UNLIKELY(route->is_unlogged)))
        return;
    if (UNLIKELY(!reserve(log))) {
        metrics_add(&log->metrics->log_dropped, 1);
        return;
    }
    char *begin = log->data + log->start + log->len;
    struct line line = {begin};
    uint64_t wall_ns = entry->ended_wall_ns - (entry->ended_ns - entry->x->started_ns);
    if (log->as_text)
        put_text(log, &line, entry, wall_ns);
    else
        put_json(log, &line, entry, wall_ns);
    CHECK(line.at - begin <= LIMIT_LOG_LINE);
    log->len += (size_t)(line.at - begin);
    metrics_add(&log->metrics->log_lines, 1);
    if (log->len >= FLUSH_BYTES)
        access_log_flush(log);
    else if (!timer_is_armed(&log->timer))
        loop_arm(log->loop, &log->timer, FLUSH_MS);
}
