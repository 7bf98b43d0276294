/* The way of a request: listener, route, filters, backend, call; and of its response: filters,
 * client, log. What fails on the way becomes an answer of ours, or a cut once bytes were sent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/transfer.h"

#include "base/limits.h"
#include "base/memory.h"
#include "data/filter/chain.h"
#include "data/proxy/date.h"
#include "data/proxy/forward.h"
#include "data/proxy/mirror.h"
#include "data/proxy/pump.h"
#include "data/proxy/respond.h"
#include "data/proxy/rpc.h"
#include "data/proxy/rpc_web.h"
#include "data/proxy/trace.h"
#include "http/websocket.h"

static void step(struct transfer *t);
static void resume(struct exchange *x);

static struct transfer *transfer_of(struct exchange *x)
{
    return CONTAINER_OF(x, struct transfer, x);
}

/* -- answers -- */

/* The response in x is complete as data: up through the filters. */
static void answer(struct transfer *t, bool is_local)
{
    if (is_local) {
        call_cancel(&t->call);
        loop_disarm(t->x.loop, &t->timer);
    }
    t->is_local = is_local;
    t->state = TRANSFER_RESPONSE;
    step(t);
}

static void answer_failure(struct transfer *t, enum err err, enum response_flag flag,
                           const char *details)
{
    respond_failure(&t->x, err, flag, details);
    answer(t, true);
}

static void cut(struct transfer *t, enum err err, enum response_flag flag, const char *details)
{
    if (t->x.flag == FLAG_NONE) {
        t->x.flag = flag;
        t->x.details = details;
    }
    call_cancel(&t->call);
    if (t->x.client == NULL)
        return;
    /* Under a content-length the missing bytes say it all; else gRPC has words for it. */
    if (t->is_rpc && t->state == TRANSFER_SENDING && t->x.response->framing != FRAMING_LENGTH) {
        struct message trailers;
        rpc_cut(&t->x, err, &trailers);
        if (t->web == NULL)
            http_stream_send_trailers(t->x.client, &trailers);
        bool is_said =
            t->web == NULL || (rpc_web_finish(t->web, &trailers) && rpc_web_flush(t->web));
        err = is_said ? ERR_NONE : ERR_CLOSED;
    } else if (err == ERR_NONE) {
        err = ERR_CLOSED;
    }
    http_stream_reset(t->x.client, err);
}

static void fail(struct transfer *t, enum err err, enum response_flag flag, const char *details)
{
    if (t->status == 0 && t->state != TRANSFER_RESPONSE)
        answer_failure(t, err, flag, details);
    else
        cut(t, err, flag, details);
}

/* -- the response -- */

static bool has_no_body(const struct transfer *t, int status)
{
    return t->x.request->method == METHOD_HEAD || status == 204 || status == 304;
}

static void finish_response(struct transfer *t)
{
    struct exchange *x = &t->x;
    if (t->response_ended)
        return;
    t->response_ended = true;
    loop_disarm(x->loop, &t->timer);
    if (!t->is_local)
        metrics_try_end(t->proxy->metrics, x, t->try_status, loop_now_ns(x->loop));
    if (t->is_tunnel) { /* the other direction goes on by itself, but not for ever */
        loop_arm(x->loop, &t->timer, LIMIT_TUNNEL_END_MS);
        return;
    }
    call_finish(&t->call);
    if (x->client != NULL && x->request->version >= 20 && !x->client->read_ended)
        http_stream_reset(x->client, ERR_NONE); /* the rest of the request is not wanted */
}

static void send_head(struct transfer *t)
{
    struct exchange *x = &t->x;
    struct message *head = x->response;
    bool end = t->response_ends;
    if (UNLIKELY(t->is_rpc) && t->is_local)
        rpc_answer(x);
    else if (UNLIKELY(t->is_rpc) && end)
        rpc_end_head(x);
    if (t->is_local)
        end = x->local_body.len == 0 || has_no_body(t, head->status);
    if (UNLIKELY(t->web != NULL))
        rpc_web_head(t->web, end);
    if (head->framing == FRAMING_CLOSE)
        head->framing = FRAMING_CHUNKED;
    if (message_get(head, NAME_DATE) == NULL && !t->is_tunnel)
        message_add(head, x->arena, TEXT("date"), date_text(t->proxy));
    t->status = head->status;
    t->state = TRANSFER_SENDING;
    http_stream_send_head(x->client, head, end);
    if (x->client == NULL)
        return;
    if (t->is_tunnel) /* what came early */
        pump_request(t);
    if (end || pump_response(t))
        finish_response(t);
}

/* -- the request's body -- */

static void refuse_body(struct transfer *t)
{
    if (t->status != 0) {
        cut(t, ERR_LIMIT, FLAG_DPE, "request_body_too_large");
        return;
    }
    respond_status(&t->x, 413, FLAG_DPE, "request_body_too_large",
                   "The request body is larger than allowed.\n");
    answer(t, true);
}

static void refuse_text(struct transfer *t)
{
    if (t->status != 0) {
        cut(t, ERR_PROTOCOL, FLAG_DPE, "grpc_web_text_malformed");
        return;
    }
    respond_status(&t->x, 400, FLAG_DPE, "grpc_web_text_malformed",
                   "The request's text is not base64.\n");
    answer(t, true);
}

/* The rule's bound on the body, else the listener's; 0: none. */
static uint64_t body_max_of(const struct exchange *x)
{
    uint64_t own = x->hit.route->body_bytes_max;
    return own == 0 ? x->listener->limits.body_bytes_max : own == UINT64_MAX ? 0 : own;
}

static bool has_too_long_fields(const struct message *head, uint32_t max)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < head->field_count; i++)
        bytes += head->fields[i].name.len + head->fields[i].value.len;
    return bytes > max;
}

/* False: the head alone is more than the rule takes, and was answered. */
static bool check_head(struct transfer *t)
{
    struct exchange *x = &t->x;
    const struct message *head = x->request;
    uint32_t header_max = x->hit.route->header_bytes_max;
    uint64_t body_max = body_max_of(x);
    if (UNLIKELY(header_max > 0 && has_too_long_fields(head, header_max))) {
        respond_status(x, 431, FLAG_DPE, "request_header_too_large",
                       "The request's header fields are longer than allowed.\n");
        answer(t, true);
        return false;
    }
    if (UNLIKELY(body_max > 0 && head->framing == FRAMING_LENGTH &&
                 head->content_length > body_max)) {
        refuse_body(t);
        return false;
    }
    return true;
}

/* More of the client's body, to where it goes now. */
static void take_body(struct transfer *t)
{
    bool is_there = false;
    if (UNLIKELY(t->x.held.wanted > 0))
        is_there = pump_hold(t);
    else
        pump_request(t);
    uint64_t body_max = body_max_of(&t->x);
    if (UNLIKELY(body_max > 0 && t->x.request_bytes > body_max && !t->is_tunnel))
        refuse_body(t);
    else if (UNLIKELY(t->web != NULL && t->web->is_bad))
        refuse_text(t);
    else if (is_there)
        resume(&t->x);
}

/* -- what the call tells -- */

static void on_sent(void *owner)
{
    take_body(owner);
}

static void on_informational(void *owner, struct message *head)
{
    struct transfer *t = owner;
    bool is_known = t->x.request->version >= 11 && head->status != 100;
    if (t->x.client != NULL && t->status == 0 && is_known)
        http_stream_send_informational(t->x.client, head);
}

static void start_tunnel(struct transfer *t)
{
    t->is_tunnel = true;
    t->request_ended = false;
    loop_disarm(t->x.loop, &t->timer);
    loop_disarm(t->x.loop, &t->call.timer);
}

/* Why the backend's answer about another protocol cannot stand; NULL: it can. A client of HTTP/1
 * made the key of its WebSocket and judges the answer to it; for one of HTTP/2 we did, and do. */
static const char *upgrade_fault(const struct message *request, const struct message *head)
{
    if (head->status == 101 && !request->wants_upgrade)
        return "upstream_unasked_upgrade";
    if (!request->wants_upgrade || request->version < 20)
        return NULL;
    if (head->status != 101) /* to an extended CONNECT any 2xx says that the tunnel is there */
        return head->status < 300 ? "upstream_no_upgrade" : NULL;
    const struct field *key = message_find(request, TEXT("sec-websocket-key"));
    const struct field *accept = message_find(head, TEXT("sec-websocket-accept"));
    bool is_accepted =
        key != NULL && accept != NULL && websocket_accepts(key->value, accept->value);
    return is_accepted ? NULL : "upstream_websocket_accept";
}

static void on_response_head(void *owner, struct message *head, bool end)
{
    struct transfer *t = owner;
    t->x.first_byte_ns = loop_now_ns(t->x.loop);
    t->try_status = head->status;
    if (UNLIKELY(head->status == 101 || t->x.request->wants_upgrade)) {
        const char *fault = upgrade_fault(t->x.request, head);
        if (fault != NULL) {
            fail(t, ERR_PROTOCOL, FLAG_UPE, fault);
            return;
        }
        if (head->status == 101)
            start_tunnel(t);
    }
    if (UNLIKELY(t->web != NULL) && !rpc_web_is_answer(head)) {
        metrics_try_end(t->proxy->metrics, &t->x, head->status, t->x.first_byte_ns);
        respond_status(&t->x, head->status < 400 ? 500 : head->status, FLAG_NONE,
                       "upstream_no_grpc", "The backend's answer is not gRPC.\n");
        answer(t, true);
        return;
    }
    if (UNLIKELY(t->session.config != NULL))
        session_write(&t->session, &t->x, head, t->x.backend->name, t->x.upstream_address);
    t->x.response = head;
    t->response_ends = end;
    answer(t, false); /* the route's timeout covers the body too: its timer stays armed */
}

static void on_response_readable(void *owner)
{
    struct transfer *t = owner;
    if (pump_response(t))
        finish_response(t);
}

static void on_request_writable(void *owner)
{
    take_body(owner);
}

static void on_retry(void *owner, int status)
{
    struct transfer *t = owner;
    uint64_t now_ns = loop_now_ns(t->x.loop);
    metrics_try_end(t->proxy->metrics, &t->x, status, now_ns);
    metrics_retry(t->proxy->metrics, &t->x);
}

static void on_failed(void *owner, enum err err, enum response_flag flag, const char *details)
{
    struct transfer *t = owner;
    metrics_try_end(t->proxy->metrics, &t->x, 0, loop_now_ns(t->x.loop));
    fail(t, err, flag, details);
}

static const struct call_events CALL_EVENTS = {
    .on_sent = on_sent,
    .on_informational = on_informational,
    .on_head = on_response_head,
    .on_readable = on_response_readable,
    .on_writable = on_request_writable,
    .on_retry = on_retry,
    .on_failed = on_failed,
};

/* -- the request -- */

static void call_backend(struct transfer *t)
{
    struct exchange *x = &t->x;
    struct proxy_connection *connection = t->connection;
    struct backend *backend = transfer_backend(x);
    if (backend == NULL) {
        answer_failure(t, ERR_NONE, FLAG_NC, NULL);
        return;
    }
    if (backend->fail_status != 0) {
        respond_status(x, (int)backend->fail_status, FLAG_NC, "backend_unusable",
                       "The backend cannot be used.\n");
        answer(t, true);
        return;
    }
    t->state = TRANSFER_CALLING;
    forward_request(x, &(struct forward){connection->peer_host, connection->door->port, false});
    trace_forward(x);
    if (UNLIKELY(x->copies != NULL))
        mirror_begin(t);
    if (t->session.config == NULL && backend->session != NULL)
        session_read(&t->session, backend->session, x);
    call_start(&t->call, &(struct call_request){
                             .x = x,
                             .pools = &t->proxy->pools,
                             .backend = backend,
                             .session = &t->session,
                             .request_ends = t->request_ended,
                             .events = &CALL_EVENTS,
                             .owner = t,
                         });
}

/* A filter waits: for resume(), or first for the body. */
static void park(struct transfer *t)
{
    t->is_parked = true;
    if (t->x.held.wanted > 0)
        take_body(t);
}

/* As far as the filters let it; called again when one that waited goes on. */
static void step(struct transfer *t)
{
    struct exchange *x = &t->x;
    enum filter_verdict verdict = FILTER_NEXT;
    t->is_parked = false;
    if (t->state == TRANSFER_REQUEST) {
        verdict = chain_run_request(x);
        if (verdict == FILTER_NEXT) {
            x->backend = transfer_choose(t);
            t->state = TRANSFER_BACKEND;
        }
    }
    if (t->state == TRANSFER_BACKEND && verdict == FILTER_NEXT) {
        verdict = chain_run_backend_request(x);
        if (verdict == FILTER_NEXT) {
            call_backend(t);
            return;
        }
    }
    if (t->state == TRANSFER_RESPONSE) {
        verdict = chain_run_response(x);
        if (verdict != FILTER_WAIT) {
            t->is_local = x->response == &x->local_response;
            if (t->is_local)
                call_cancel(&t->call);
            send_head(t);
            return;
        }
    }
    if (verdict == FILTER_RESPOND)
        answer(t, true);
    else
        park(t);
}

static void resume(struct exchange *x)
{
    struct transfer *t = transfer_of(x);
    if (t->is_parked && x->client != NULL)
        step(t);
}

static void on_request_timeout(void *owner)
{
    struct transfer *t = owner;
    if (t->is_tunnel)
        cut(t, ERR_CLOSED, FLAG_NONE, NULL);
    else
        fail(t, ERR_TIMEOUT, FLAG_DT, "request_timeout");
}

static void describe_connection(struct proxy_connection *connection)
{
    char text[ADDRESS_TEXT_MAX];
    const struct stream *stream = &connection->http->stream;
    struct address local = stream_local(stream);
    connection->local = memory_string(address_format(&local, text));
    struct text peer = address_format(&stream->peer, text);
    connection->peer = memory_string(peer);
    size_t len = peer.len;
    struct text host = address_format_host(&stream->peer, text);
    /* "10.0.0.1:80" begins with its host; "[::1]:80" has it behind the bracket. */
    size_t from = len > 0 && connection->peer[0] == '[' ? 1 : 0;
    connection->peer_host = text_from(connection->peer + from, MIN(host.len, len - from));
}

static void begin_web(struct transfer *t)
{
    t->web = rpc_web_begin(&t->x);
    if (t->web == NULL)
        return;
    t->is_rpc = true;
    t->request_ended = false;
}

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    struct transfer *t = owner;
    struct exchange *x = &t->x;
    (void)stream;
    if (UNLIKELY(t->connection->peer == NULL))
        describe_connection(t->connection);
    forward_forget(head);
    x->request = head;
    x->started_ns = loop_now_ns(x->loop);
    x->lease = lease_take(t->proxy->lease);
    x->snapshot_number = (uint32_t)x->lease->snapshot->number;
    x->binding = t->connection->door->binding;
    x->peer = t->connection->http->stream.peer;
    x->original_path = head->path;
    t->path = head->path;
    t->authority = head->authority;
    t->is_rpc = head->version >= 20 && rpc_is(head);
    /* A call ends with a DATA frame (PROTOCOL-HTTP2.md); a tunnel begins with the answer. */
    t->request_ended = (end && !t->is_rpc) || head->wants_upgrade;
    if (!transfer_find_route(t)) {
        answer(t, true);
        return;
    }
    if (x->hit.route->is_grpc && !t->is_rpc)
        begin_web(t);
    if (!check_head(t))
        return;
    if (UNLIKELY(t->web != NULL)) /* its length will be another one, and is known at the end */
        head->framing = FRAMING_CHUNKED;
    uint32_t limit_ms = x->hit.route->request_timeout_ms;
    uint32_t asked_ms = t->is_rpc ? rpc_timeout_ms(head) : 0;
    if (asked_ms > 0 && (limit_ms == 0 || asked_ms < limit_ms))
        limit_ms = asked_ms;
    if (limit_ms > 0)
        loop_arm(x->loop, &t->timer, limit_ms);
    step(t);
}

/* -- the client -- */

static void on_readable(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct transfer *t = owner;
    if (!t->is_local)
        take_body(t);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)stream;
    on_response_readable(owner);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct transfer *t = owner;
    t->termination = stream->why;
    t->is_parked = false;
    if (t->x.flag == FLAG_NONE) {
        t->x.flag = err == ERR_PROTOCOL || err == ERR_LIMIT ? FLAG_DPE : FLAG_DC;
        t->x.details = err == ERR_TIMEOUT    ? "downstream_timeout"
                       : err == ERR_PROTOCOL ? "downstream_protocol_error"
                       : err == ERR_LIMIT    ? "downstream_limit" /* termination says which */
                                             : "downstream_closed";
    }
    call_cancel(&t->call);
}

static void write_log(struct transfer *t, uint64_t now_ns)
{
    const struct proxy_connection *connection = t->connection;
    const struct stream *stream = &connection->http->stream;
    bool is_tls = stream->tls != NULL;
    access_log_write(&t->proxy->log,
                     &(struct access_log_entry){
                         .x = &t->x,
                         .status = t->status,
                         .ended_ns = now_ns,
                         .ended_wall_ns = loop_wall_ns(t->x.loop),
                         .authority = t->authority,
                         .path = t->path,
                         .peer = text_of(connection->peer),
                         .local = text_of(connection->local),
                         .server_name = is_tls ? stream_server_name(stream) : TEXT_NONE,
                         .tls_version = is_tls ? stream_tls_version(stream) : NULL,
                         .termination = t->termination,
                     });
}

static void on_closed(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct transfer *t = owner;
    struct exchange *x = &t->x;
    t->proxy->transfer_count--;
    if (x->lease == NULL)
        return; /* the head never came */
    if (!t->response_ended && !t->is_tunnel && x->flag == FLAG_NONE) {
        x->flag = FLAG_DC;
        x->details = "downstream_closed";
    }
    loop_disarm(x->loop, &t->timer);
    call_cancel(&t->call);
    mirror_leave(t);
    buffer_fini(&x->held.bytes);
    if (UNLIKELY(t->web != NULL))
        rpc_web_fini(t->web);
    uint64_t now_ns = loop_now_ns(x->loop);
    chain_run_end(x);
    metrics_request_end(t->proxy->metrics, x, t->status, now_ns);
    write_log(t, now_ns);
    lease_drop(x->lease);
    x->client = NULL;
}

static const struct http_stream_events CLIENT_EVENTS = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_closed,
};

void transfer_begin(struct proxy_connection *connection, struct http_stream *stream)
{
    struct transfer *t = arena_new(&stream->arena, struct transfer);
    t->proxy = connection->door->proxy;
    t->connection = connection;
    t->x.arena = &stream->arena;
    t->x.worker = t->proxy->worker;
    t->x.loop = t->proxy->loop;
    t->x.pools = &t->proxy->pools;
    t->x.client = stream;
    buffer_init(&t->x.held.bytes, loop_buffers(t->x.loop));
    t->x.resume = resume;
    timer_init(&t->timer, t, on_request_timeout);
    t->proxy->transfer_count++;
    http_stream_own(stream, &CLIENT_EVENTS, t);
}
