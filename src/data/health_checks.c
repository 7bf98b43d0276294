/* A connection of its own for each question, so that an answer says something of new requests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/health_checks.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "grpc/frame.h"
#include "http/connection.h"

#define BUSY_PAUSE_MS 100 /* when LIMIT_HEALTH_PROBES are under way */
#define ANSWER_MAX    64  /* of a gRPC answer: 7 bytes are usual */

struct probe;

/* One endpoint of one backend. */
struct target {
    struct health_checks *checks;
    char *key;               /* owns: backend and endpoint */
    struct backend *backend; /* shares */
    struct address address;
    uint64_t id;
    struct probe *probe; /* NULL: none under way */
    struct timer timer;  /* the next question, or the end of the patience with this one */
    uint32_t run;        /* answers in a row that say otherwise than is_down */
    bool is_down, is_wanted;
};

/* One question; lives until its connection is gone. */
struct probe {
    struct health_checks *checks; /* NULL: gone */
    struct target *target;        /* NULL: answered, or given up */
    struct http_connection *http;
    struct http_stream *stream;
    unsigned char answer[ANSWER_MAX];
    size_t answer_len;
};

struct health_checks {
    struct loop *loop;
    health_checks_change on_change;
    void *owner;
    struct map targets; /* owns */
    uint32_t probes, down;
    struct probe **under_way; /* owns the array */
    size_t probe_cap;
};

static const struct http_settings SETTINGS_H1 = {.version = HTTP_1};
static const struct http_settings SETTINGS_H2 = {.version = HTTP_2};

/* -- verdicts -- */

static void forget_probe(struct probe *probe)
{
    struct health_checks *checks = probe->checks;
    if (checks == NULL)
        return;
    size_t at = 0;
    while (checks->under_way[at] != probe)
        at++;
    checks->under_way[at] = checks->under_way[--checks->probes];
    probe->checks = NULL;
}

static void arm_next(struct target *target)
{
    struct loop *loop = target->checks->loop;
    uint64_t interval_ms = target->backend->health_check->interval_ms;
    /* A tenth of jitter, so that endpoints are not asked all at once. */
    loop_arm(loop, &target->timer,
             interval_ms - interval_ms / 20 +
                 random_below(loop_random(loop), interval_ms / 10 + 1));
}

static void change(struct target *target, bool is_down, const char *why)
{
    struct health_checks *checks = target->checks;
    char text[ADDRESS_TEXT_MAX];
    target->is_down = is_down;
    target->run = 0;
    checks->down += is_down ? 1 : UINT32_MAX;
    address_format(&target->address, text);
    if (is_down)
        log_warn("an endpoint does not pass its health check",
                 log_text("backend", target->backend->name), log_str("endpoint", text),
                 log_str("why", why));
    else
        log_info("an endpoint passes its health check again",
                 log_text("backend", target->backend->name), log_str("endpoint", text));
    checks->on_change(checks->owner, target->backend->name, target->id, !is_down);
}

/* `why` NULL: a good answer. */
static void answer(struct probe *probe, const char *why)
{
    struct target *target = probe->target;
    if (target == NULL)
        return;
    const struct health_check *check = target->backend->health_check;
    bool is_bad = why != NULL;
    probe->target = NULL;
    target->probe = NULL;
    if (probe->http != NULL)
        http_close(probe->http, ERR_NONE);
    arm_next(target);
    target->run = is_bad == target->is_down ? 0 : target->run + 1;
    if (target->run >= (is_bad ? check->unhealthy : check->healthy))
        change(target, is_bad, why);
}

static bool is_good_status(const struct health_check *check, int status)
{
    if (check->status_count == 0)
        return status >= 200 && status < 400;
    for (uint32_t i = 0; i < check->status_count; i++)
        if ((int)check->statuses[i] == status)
            return true;
    return false;
}

/* grpc.health.v1.HealthCheckResponse{status: SERVING}, and nothing else. */
static bool is_serving(const struct probe *probe)
{
    struct text message;
    size_t len;
    struct text bytes = text_from((const char *)probe->answer, probe->answer_len);
    return grpc_frame_read(bytes, ANSWER_MAX, &message, &len) == GRPC_FRAME_WHOLE &&
           message.len == 2 && message.data[0] == 0x08 && message.data[1] == 0x01;
}

/* -- the stream -- */

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct probe *probe = owner;
    (void)stream;
    if (probe->target == NULL)
        return;
    const struct health_check *check = probe->target->backend->health_check;
    if (check->kind == HEALTH_HTTP)
        answer(probe, is_good_status(check, head->status) ? NULL : "status");
    else if (head->status != 200 || end)
        answer(probe, "no gRPC health service");
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct probe *probe = owner;
    struct text bytes;
    while (probe->target != NULL && (bytes = http_stream_peek(stream)).len > 0) {
        if (probe->answer_len + bytes.len > ANSWER_MAX) {
            answer(probe, "answer too long");
            return;
        }
        memcpy(probe->answer + probe->answer_len, bytes.data, bytes.len);
        probe->answer_len += bytes.len;
        http_stream_consume(stream, bytes.len);
    }
    if (stream->read_ended)
        answer(probe, is_serving(probe) ? NULL : "not serving");
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)owner, (void)stream;
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)err;
    answer(owner, stream->why == NULL ? "no answer" : stream->why);
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    ((struct probe *)owner)->stream = NULL;
}

static const struct http_stream_events STREAM_EVENTS = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_stream_closed,
};

/* -- the question -- */

static void make_head(const struct target *target, struct arena *arena, struct message *head)
{
    const struct health_check *check = target->backend->health_check;
    char text[ADDRESS_TEXT_MAX];
    message_init(head);
    head->scheme = target->backend->tls != NULL ? TEXT("https") : TEXT("http");
    head->authority = check->host.len > 0
                          ? check->host
                          : arena_text(arena, address_format(&target->address, text));
    head->host = head->authority;
    message_add(head, arena, TEXT("user-agent"), TEXT("nantian-health-check"));
    if (check->kind == HEALTH_HTTP) {
        size_t mark = text_find(check->path, '?', 0);
        head->method = METHOD_GET;
        head->method_name = TEXT("GET");
        head->path = text_slice(check->path, 0, mark);
        head->has_query = mark < check->path.len;
        head->query = text_slice(check->path, mark + 1, check->path.len);
        return;
    }
    head->method = METHOD_POST;
    head->method_name = TEXT("POST");
    head->path = TEXT("/grpc.health.v1.Health/Check");
    head->framing = FRAMING_CHUNKED;
    message_add(head, arena, TEXT("content-type"), TEXT("application/grpc"));
    message_add(head, arena, TEXT("te"), TEXT("trailers"));
}

/* HealthCheckRequest{service}, framed. */
static void send_grpc(struct probe *probe, struct text service)
{
    unsigned char out[GRPC_FRAME_HEAD + 2 + LIMIT_HEALTH_SERVICE];
    size_t len = service.len == 0 ? 0 : service.len + 2;
    grpc_frame_head(out, len);
    if (len > 0) {
        out[GRPC_FRAME_HEAD] = 0x0a;
        out[GRPC_FRAME_HEAD + 1] = (unsigned char)service.len;
        memcpy(out + GRPC_FRAME_HEAD + 2, service.data, service.len);
    }
    (void)http_stream_write(probe->stream, text_from((const char *)out, GRPC_FRAME_HEAD + len),
                            true);
}

static void on_ready(void *owner, struct http_connection *http)
{
    struct probe *probe = owner;
    struct target *target = probe->target;
    if (target == NULL || probe->stream != NULL)
        return;
    const struct health_check *check = target->backend->health_check;
    if (check->kind == HEALTH_TCP) {
        answer(probe, NULL);
        return;
    }
    probe->stream = http_open(http);
    if (probe->stream == NULL)
        return;
    struct message head;
    http_stream_own(probe->stream, &STREAM_EVENTS, probe);
    make_head(target, &probe->stream->arena, &head);
    bool has_body = check->kind == HEALTH_GRPC;
    http_stream_send_head(probe->stream, &head, !has_body);
    if (has_body && probe->stream != NULL)
        send_grpc(probe, check->service);
}

static void on_closed(void *owner, struct http_connection *http, enum err err)
{
    struct probe *probe = owner;
    (void)err;
    probe->http = NULL;
    answer(probe, http->why == NULL ? "connect" : http->why);
    forget_probe(probe);
    free(probe);
}

static const struct http_connection_events CONNECTION_EVENTS = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

static void ask(struct target *target)
{
    struct health_checks *checks = target->checks;
    const struct backend *backend = target->backend;
    const struct health_check *check = backend->health_check;
    if (checks->probes >= LIMIT_HEALTH_PROBES) {
        loop_arm(checks->loop, &target->timer, BUSY_PAUSE_MS);
        return;
    }
    bool is_h2 = check->kind == HEALTH_GRPC || backend->protocol == BACKEND_H2;
    struct probe *probe = memory_new(struct probe);
    probe->http = http_connect(checks->loop, &target->address, backend->tls, backend->server_name,
                               check->timeout_ms, is_h2 ? &SETTINGS_H2 : &SETTINGS_H1,
                               &CONNECTION_EVENTS, probe);
    if (probe->http == NULL) { /* no socket of ours says nothing about the endpoint */
        free(probe);
        arm_next(target);
        return;
    }
    probe->checks = checks;
    probe->target = target;
    target->probe = probe;
    checks->under_way =
        memory_grow(checks->under_way, checks->probes, &checks->probe_cap, sizeof(struct probe *));
    checks->under_way[checks->probes++] = probe;
    loop_arm(checks->loop, &target->timer, check->timeout_ms);
}

static void on_timer(void *owner)
{
    struct target *target = owner;
    if (target->probe != NULL)
        answer(target->probe, "timeout");
    else
        ask(target);
}

/* -- which -- */

struct health_checks *health_checks_new(struct loop *loop, health_checks_change on_change,
                                        void *owner)
{
    struct health_checks *checks = memory_new(struct health_checks);
    checks->loop = loop;
    checks->on_change = on_change;
    checks->owner = owner;
    map_init(&checks->targets);
    return checks;
}

static void target_free(struct target *target)
{
    loop_disarm(target->checks->loop, &target->timer);
    if (target->probe != NULL) {
        target->probe->target = NULL;
        http_close(target->probe->http, ERR_NONE);
    }
    backend_unref(target->backend);
    free(target->key);
    free(target);
}

void health_checks_free(struct health_checks *checks)
{
    size_t at = 0;
    struct map_entry *entry;
    if (checks == NULL)
        return;
    while (map_next(&checks->targets, &at, &entry))
        target_free(entry->value);
    map_fini(&checks->targets);
    for (uint32_t i = 0; i < checks->probes; i++)
        checks->under_way[i]->checks = NULL;
    free(checks->under_way);
    free(checks);
}

void health_checks_begin(struct health_checks *checks)
{
    size_t at = 0;
    struct map_entry *entry;
    while (map_next(&checks->targets, &at, &entry))
        ((struct target *)entry->value)->is_wanted = false;
}

static struct target *target_new(struct health_checks *checks, struct text key)
{
    struct target *target = memory_new(struct target);
    target->checks = checks;
    target->key = memory_string(key);
    timer_init(&target->timer, target, on_timer);
    map_put(&checks->targets, text_of(target->key), target);
    return target;
}

void health_checks_want(struct health_checks *checks, struct backend *backend)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < backend->endpoint_count; i++) {
        const struct endpoint *endpoint = &backend->endpoints[i];
        struct text key = arena_printf(&arena, TEXT_FMT "\n" TEXT_FMT, TEXT_ARG(backend->name),
                                       TEXT_ARG(endpoint->text));
        struct target *target = map_get(&checks->targets, key);
        bool is_new = target == NULL;
        if (is_new)
            target = target_new(checks, key);
        backend_ref(backend);
        backend_unref(target->backend);
        target->backend = backend;
        target->address = endpoint->address;
        target->id = endpoint->id;
        target->is_wanted = true;
        if (is_new) /* soon, but not all at once */
            loop_arm(checks->loop, &target->timer,
                     random_below(loop_random(checks->loop),
                                  MIN(backend->health_check->interval_ms, 1000u)));
    }
    arena_fini(&arena);
}

void health_checks_commit(struct health_checks *checks)
{
    size_t at = 0, count = 0, cap = 0;
    struct target **gone = NULL;
    struct map_entry *entry;
    while (map_next(&checks->targets, &at, &entry)) {
        struct target *target = entry->value;
        if (target->is_wanted)
            continue;
        gone = memory_grow(gone, count, &cap, sizeof(struct target *));
        gone[count++] = target;
    }
    for (size_t i = 0; i < count; i++) {
        map_remove(&checks->targets, text_of(gone[i]->key));
        if (gone[i]->is_down) {
            checks->down--;
            checks->on_change(checks->owner, gone[i]->backend->name, gone[i]->id, true);
        }
        target_free(gone[i]);
    }
    free(gone);
}

uint32_t health_checks_down(const struct health_checks *checks)
{
    return checks->down;
}
