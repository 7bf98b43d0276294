/* One exchange's tries at a backend. Safe to repeat: a connect that failed (another endpoint), what
 * an HTTP/2 backend says it did not look at, a kept connection that was closed under us (once), and
 * what the route's retry policy names, as long as no byte of the body was used that is not kept. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/call.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/shared_budget.h"
#include "base/shared_counter.h"

#define PENDING_TIMEOUT "upstream_pending_timeout"

static void try_once(struct call *call, bool fresh);

static void on_orphan_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)owner, (void)stream, (void)head, (void)end;
}

static void on_orphan(void *owner, struct http_stream *stream)
{
    (void)owner, (void)stream;
}

static void on_orphan_abort(void *owner, struct http_stream *stream, enum err err)
{
    (void)owner, (void)stream, (void)err;
}

/* A stream that outlives its exchange by a turn tells nobody. */
static const struct http_stream_events ORPHAN_EVENTS = {
    .on_head = on_orphan_head,
    .on_readable = on_orphan,
    .on_writable = on_orphan,
    .on_abort = on_orphan_abort,
    .on_closed = on_orphan,
};

static void leave_endpoint(struct call *call)
{
    struct pool_endpoint *endpoint = call->endpoint;
    call->endpoint = NULL;
    if (endpoint != NULL)
        pool_end(endpoint);
}

/* Lets go of the stream; unless it is done, the peer is told. */
static void drop_stream(struct call *call, enum err why)
{
    struct http_stream *stream = call->stream;
    call->stream = NULL;
    if (stream != NULL) {
        http_stream_own(stream, &ORPHAN_EVENTS, NULL);
        if (!(stream->read_ended && stream->write_ended) && !stream->aborted)
            http_stream_reset(stream, why);
    }
    leave_endpoint(call);
}

static void drop_try(struct call *call)
{
    loop_disarm(call->x->loop, &call->timer);
    if (call->waiter.queued || call->waiter.connecting != NULL)
        pool_cancel(pool_of(call->pools, call->backend), &call->waiter);
    drop_stream(call, ERR_CLOSED);
}

static void end(struct call *call)
{
    replay_fini(&call->replay);
    if (call->is_counted)
        shared_gauge_give(call->backend->requests);
    call->is_counted = false;
}

static void fail(struct call *call, enum err err, enum response_flag flag, const char *details)
{
    if (call->is_over)
        return;
    drop_try(call);
    call->is_over = true;
    end(call);
    call->events->on_failed(call->owner, err, flag, details);
}

void call_cancel(struct call *call)
{
    if (call->is_over || call->x == NULL)
        return;
    call->is_over = true;
    drop_try(call);
    end(call);
}

void call_finish(struct call *call)
{
    call_cancel(call);
}

/* -- again? -- */

static bool can_repeat(const struct call *call)
{
    uint64_t budget_ns = call->x->hit.route->retry.budget_ms * UINT64_C(1000000);
    if (budget_ns > 0 && loop_now_ns(call->x->loop) - call->started_ns >= budget_ns)
        return false;
    return !call->has_head && (!call->body_taken || replay_is_whole(&call->replay));
}

static bool policy_allows(struct call *call, bool is_connect)
{
    const struct retry_policy *retry = &call->x->hit.route->retry;
    if (!can_repeat(call) || call->policy_retries >= MIN(retry->attempts, LIMIT_RETRY_ATTEMPTS))
        return false;
    return !is_connect || retry->connect_failure || retry->attempts > 0;
}

static void remember_tried(struct call *call, struct pool_endpoint *endpoint)
{
    if (endpoint != NULL && call->ask.tried_count < BALANCER_TRIED_MAX)
        call->ask.tried[call->ask.tried_count++] = &endpoint->item;
}

/* Each endpoint once before any of them again, and the one that failed last not next. */
static void avoid_endpoint(struct call *call, struct pool_endpoint *endpoint)
{
    uint32_t size = pool_size(pool_of(call->pools, call->backend));
    if (call->ask.tried_count + 1 >= MIN(size, BALANCER_TRIED_MAX))
        call->ask.tried_count = 0;
    if (size > 1)
        remember_tried(call, endpoint);
}

/* What the policy names, doubled with each try up to tenfold, and jitter on top so that retries do
 * not march. */
static uint64_t pause_ms(struct call *call)
{
    uint64_t base = call->x->hit.route->retry.backoff_ms;
    if (base == 0)
        base = LIMIT_RETRY_PAUSE_MS;
    uint64_t pause = base << MIN(call->policy_retries, 4u);
    pause = MIN(pause, base * 10);
    return pause + random_below(loop_random(call->x->loop), pause / 2 + 1);
}

/* What the route's policy asks for, as far as the backend's retry budget goes (GEP-3388). A repeat
 * of what no application saw is none of these. */
static void retry_later(struct call *call, int status)
{
    struct shared_budget *budget = call->backend->retries;
    if (UNLIKELY(budget != NULL) && !shared_budget_take(budget, loop_now_ns(call->x->loop))) {
        fail(call, ERR_LIMIT, FLAG_URX, "retry_budget_exceeded");
        return;
    }
    uint64_t pause = pause_ms(call);
    call->policy_retries++;
    avoid_endpoint(call, call->endpoint != NULL ? call->endpoint : call->waiter.endpoint);
    drop_try(call);
    call->events->on_retry(call->owner, status);
    if (call->is_over)
        return;
    call->is_pausing = true;
    loop_arm(call->x->loop, &call->timer, pause);
}

static void connect_failed(struct call *call, struct pool_endpoint *endpoint, enum err err,
                           const char *why)
{
    remember_tried(call, endpoint);
    leave_endpoint(call);
    loop_disarm(call->x->loop, &call->timer);
    if (can_repeat(call) && call->connect_retries < LIMIT_CONNECT_RETRIES &&
        call->ask.tried_count < pool_size(pool_of(call->pools, call->backend))) {
        call->connect_retries++;
        call->events->on_retry(call->owner, 0);
        if (!call->is_over)
            try_once(call, false);
        return;
    }
    if (policy_allows(call, true)) {
        retry_later(call, 0);
        return;
    }
    if (call->backend->tls != NULL && strncmp(why, "tls:", 4) == 0)
        err = ERR_PROTOCOL; /* reached, but not who it should be */
    const char *details = err == ERR_TIMEOUT    ? "upstream_connect_timeout"
                          : err == ERR_PROTOCOL ? "upstream_tls_failure"
                                                : "upstream_connect_failure";
    call->x->upstream_failure = why;
    fail(call, err, FLAG_UF, details);
}

/* -- the stream -- */

static void report(const struct call *call, enum health_result result)
{
    if (call->endpoint != NULL)
        pool_report(call->endpoint, result);
}

static enum health_result judge(int status)
{
    if (status >= 502 && status <= 504)
        return HEALTH_GATEWAY_ERROR;
    return status >= 500 ? HEALTH_SERVER_ERROR : HEALTH_GOOD;
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)stream;
    struct call *call = owner;
    const struct retry_policy *retry = &call->x->hit.route->retry;
    report(call, judge(head->status));
    for (uint32_t i = 0; i < retry->code_count; i++) {
        if (retry->codes[i] != head->status)
            continue;
        if (!policy_allows(call, false))
            break;
        retry_later(call, head->status);
        return;
    }
    call->has_head = true;
    if (replay_is_sent(&call->replay))
        replay_fini(&call->replay);
    call->events->on_head(call->owner, head, end);
}

static void on_informational(void *owner, struct http_stream *stream, struct message *head)
{
    (void)stream;
    struct call *call = owner;
    call->events->on_informational(call->owner, head);
}

static void on_readable(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct call *call = owner;
    call->events->on_readable(call->owner);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    struct call *call = owner;
    if (replay_send(&call->replay, stream))
        call->events->on_writable(call->owner);
}

/* REFUSED_STREAM, or GOAWAY below ours: not processed (RFC 9113 8.7). Elsewhere, if there is any.
 */
static bool retry_refused(struct call *call)
{
    struct pool_endpoint *endpoint = call->endpoint;
    if (!can_repeat(call) || call->connect_retries >= LIMIT_CONNECT_RETRIES)
        return false;
    call->connect_retries++;
    drop_try(call);
    call->events->on_retry(call->owner, 0);
    if (call->is_over)
        return true;
    remember_tried(call, endpoint);
    if (call->ask.tried_count >= pool_size(pool_of(call->pools, call->backend)))
        call->ask.tried_count = 0;
    try_once(call, false);
    return true;
}

/* The connection broke, not just the stream. */
static bool is_broken_line(const struct http_stream *stream, enum err err)
{
    return (err == ERR_CLOSED || err == ERR_SYSTEM) &&
           (stream->connection->version < 20 || !http_can_open(stream->connection));
}

static void report_abort(struct call *call, enum err err)
{
    switch (err) {
    case ERR_TIMEOUT:
        fail(call, err, FLAG_UT, "upstream_idle_timeout");
        return;
    case ERR_PROTOCOL:
        fail(call, err, FLAG_UPE, "upstream_protocol_error");
        return;
    case ERR_LIMIT:
        fail(call, err, FLAG_UPE, "upstream_header_limit");
        return;
    default:
        break;
    }
    fail(call, err, FLAG_UC,
         call->has_head ? "upstream_reset_in_body" : "upstream_reset_before_response");
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct call *call = owner;
    bool is_broken = is_broken_line(stream, err);
    call->x->upstream_failure = stream->why;
    if (stream->unsent && err == ERR_TIMEOUT) {
        fail(call, err, FLAG_UO, PENDING_TIMEOUT);
        return;
    }
    if (err == ERR_REFUSED && retry_refused(call))
        return;
    bool may_be_twice =
        !call->x->hit.route->retry.once && method_is_idempotent(call->x->request->method);
    if (is_broken && call->is_reused && !call->is_raced && can_repeat(call) &&
        (stream->unsent || may_be_twice)) {
        call->is_raced = true;
        drop_try(call);
        call->events->on_retry(call->owner, 0);
        if (!call->is_over)
            try_once(call, true);
        return;
    }
    report(call, HEALTH_GATEWAY_ERROR);
    if (is_broken && policy_allows(call, false)) {
        retry_later(call, 0);
        return;
    }
    report_abort(call, err);
}

static void on_closed(void *owner, struct http_stream *stream)
{
    struct call *call = owner;
    if (call->stream != stream)
        return;
    call->stream = NULL;
    leave_endpoint(call);
}

static const struct http_stream_events STREAM_EVENTS = {
    .on_head = on_head,
    .on_informational = on_informational,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_closed,
};

/* -- a try -- */

static void arm_deadline(struct call *call)
{
    struct exchange *x = call->x;
    uint32_t limit_ms = x->hit.route->backend_timeout_ms;
    if (LIKELY(limit_ms == 0))
        return;
    uint64_t spent_ms = (loop_now_ns(x->loop) - x->upstream_started_ns) / 1000000;
    loop_arm(x->loop, &call->timer, spent_ms >= limit_ms ? 0 : limit_ms - spent_ms);
}

static void use_connection(struct call *call, struct pool_connection *connection, bool is_reused)
{
    struct exchange *x = call->x;
    struct http_stream *stream = http_open(connection->http);
    call->endpoint = connection->endpoint;
    call->is_reused = is_reused;
    pool_begin(call->endpoint);
    if (stream == NULL) {
        connect_failed(call, NULL, ERR_CLOSED, "connection went away");
        return;
    }
    call->stream = stream;
    http_stream_own(stream, &STREAM_EVENTS, call);
    x->upstream_address = arena_text(x->arena, call->endpoint->text);
    x->upstream_local = arena_text(x->arena, pool_local(connection));
    x->connect_ns = is_reused ? 0 : connection->ready_ns - connection->started_ns;
    http_stream_send_head(stream, x->request, call->request_ends);
    if (call->stream != stream)
        return;
    replay_rewind(&call->replay);
    if (replay_send(&call->replay, stream))
        call->events->on_sent(call->owner);
}

static void on_connection(void *owner, struct pool_connection *connection)
{
    struct call *call = owner;
    loop_disarm(call->x->loop, &call->timer);
    arm_deadline(call);
    use_connection(call, connection, connection->uses > 1);
}

static void on_connect_failed(void *owner, enum err err, const char *why)
{
    struct call *call = owner;
    /* No socket of our own is not the endpoint's fault. */
    if (call->waiter.endpoint != NULL && strcmp(why, "socket") != 0)
        pool_report(call->waiter.endpoint, HEALTH_CONNECT_ERROR);
    if (call->waiter.endpoint == NULL && err == ERR_REFUSED)
        fail(call, err, FLAG_UH, "no_healthy_upstream");
    else
        connect_failed(call, call->waiter.endpoint, err, why);
}

static void on_timer(void *owner)
{
    struct call *call = owner;
    if (call->is_pausing) {
        call->is_pausing = false;
        try_once(call, false);
        return;
    }
    if (call->waiter.queued) {
        fail(call, ERR_TIMEOUT, FLAG_UO, PENDING_TIMEOUT);
        return;
    }
    report(call, HEALTH_GATEWAY_ERROR);
    if (policy_allows(call, false))
        retry_later(call, 0);
    else
        fail(call, ERR_TIMEOUT, FLAG_UT, "upstream_response_timeout");
}

/* Whoever waits for a free connection does so no longer than for a new one. */
static void arm_waiting(struct call *call)
{
    uint32_t limit_ms = call->waiter.connect_ms;
    if (limit_ms == 0)
        limit_ms = call->backend->connect_timeout_ms;
    if (limit_ms == 0)
        limit_ms = LIMIT_CONNECT_MS;
    arm_deadline(call);
    if (call->waiter.queued && !timer_is_armed(&call->timer))
        loop_arm(call->x->loop, &call->timer, limit_ms);
}

static void try_once(struct call *call, bool fresh)
{
    struct exchange *x = call->x;
    struct pool_connection *connection = NULL;
    x->tries++;
    x->upstream_started_ns = loop_now_ns(x->loop);
    call->waiter.endpoint = NULL;
    struct pool *pool = pool_of(call->pools, call->backend);
    enum err err = pool_acquire(pool, &call->ask, fresh, &call->waiter, &connection);
    if (err == ERR_REFUSED && call->policy_retries > 0 && call->ask.tried_count > 0) {
        call->ask.tried_count = 0; /* the pool shrank meanwhile */
        err = pool_acquire(pool, &call->ask, fresh, &call->waiter, &connection);
    }
    switch (err) {
    case ERR_NONE:
        arm_deadline(call);
        use_connection(call, connection, true);
        break;
    case ERR_AGAIN:
        arm_waiting(call);
        break;
    case ERR_LIMIT:
        fail(call, ERR_LIMIT, FLAG_UO, "upstream_overflow");
        break;
    case ERR_REFUSED:
        if (call->ask.tried_count == 0)
            fail(call, ERR_REFUSED, FLAG_UH, "no_healthy_upstream");
        else
            fail(call, ERR_REFUSED, FLAG_UF, "upstream_connect_failure");
        break;
    default:
        connect_failed(call, call->waiter.endpoint, ERR_SYSTEM, "socket");
        break;
    }
}

/* False: the request has nothing of that kind, so any endpoint will do. */
static bool hash_of(const struct exchange *x, const struct backend *backend, uint64_t *ret_hash)
{
    char text[ADDRESS_TEXT_MAX];
    struct text key = TEXT_NONE;
    struct text name = backend->hash_name;
    const struct field *field;
    switch (backend->hash_key) {
    case HASH_CLIENT_ADDRESS:
        key = address_format_host(&x->peer, text);
        break;
    case HASH_HEADER:
        field = message_find(x->request, name);
        key = field == NULL ? TEXT_NONE : field->value;
        break;
    case HASH_COOKIE:
        if (!message_cookie(x->request, name, &key))
            return false;
        break;
    case HASH_HOST:
        key = x->request->host;
        break;
    case HASH_PATH:
        key = x->original_path;
        break;
    }
    *ret_hash = hash_stable(key);
    return key.len > 0;
}

void call_start(struct call *call, const struct call_request *request)
{
    struct exchange *x = request->x;
    struct backend *backend = request->backend;
    *call = (struct call){
        .events = request->events,
        .owner = request->owner,
        .x = x,
        .pools = request->pools,
        .backend = backend,
        .request_ends = request->request_ends,
        .waiter = {.owner = call, .on_connection = on_connection, .on_failed = on_connect_failed},
    };
    call->started_ns = loop_now_ns(x->loop);
    call->waiter.connect_ms = x->hit.route->connect_timeout_ms;
    timer_init(&call->timer, call, on_timer);
    replay_init(&call->replay, loop_buffers(x->loop), !request->request_ends);
    x->call = call;
    call->ask.has_hash = backend->table != NULL && hash_of(x, backend, &call->ask.hash);
    call->ask.has_wish = request->session != NULL && request->session->is_known;
    call->ask.wish = call->ask.has_wish ? request->session->endpoint : 0;
    if (UNLIKELY(backend->max_requests > 0)) {
        call->is_counted = shared_gauge_take(backend->requests, backend->max_requests);
        if (!call->is_counted) {
            fail(call, ERR_LIMIT, FLAG_UO, "upstream_overflow");
            return;
        }
    }
    if (UNLIKELY(backend->retries != NULL))
        shared_budget_count(backend->retries, call->started_ns);
    try_once(call, false);
}

size_t call_write(struct call *call, struct text bytes, bool end)
{
    if (call->stream == NULL)
        return 0;
    bool is_first = replay_is_sent(&call->replay);
    size_t taken = is_first ? http_stream_write(call->stream, bytes, end) : 0;
    call->body_taken = call->body_taken || taken > 0 || end;
    replay_took(&call->replay, text_slice(bytes, 0, taken), end && taken == bytes.len);
    return taken;
}

void call_send_trailers(struct call *call, const struct message *trailers)
{
    bool is_first = replay_is_sent(&call->replay);
    call->body_taken = true;
    replay_took_trailers(&call->replay, trailers);
    if (call->stream != NULL && is_first)
        http_stream_send_trailers(call->stream, trailers);
}
