/* Connections come and go by what waits; a call is on a stream or in the queue. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/client.h"

#include <stdlib.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"
#include "control/files/directory.h"
#include "control/kube/plugin.h"
#include "control/kube/whereabouts.h"
#include "http/connection.h"
#include "net/tls.h"

#define TOKEN_AGE_MS 60000 /* the kubelet replaces a mounted token long before it ends */

struct wire {
    struct wire *next;
    struct client *client;
    struct http_connection *connection;
    struct address to;
    bool is_ready;
};

struct client_call {
    struct client_call *next; /* in the queue */
    uint64_t round;           /* of the client, when it came */
    struct client *client;
    const struct client_events *events; /* NULL: over, waits for its stream's end */
    void *owner;
    bool (*may_start)(void *guard);
    void *guard;
    const char *method, *content_type;
    char *path, *body, *viewer; /* owns; viewer may be NULL */
    size_t body_len, sent;
    struct timer deadline;
    struct http_stream *stream; /* NULL: in the queue */
    struct client_call *all_next, **all_at;
    struct builder in; /* the body, or the line that is not whole yet */
    struct client_answer answer;
};

struct client {
    struct loop *loop;
    const struct kube_config *config; /* borrows */
    struct tls_context *tls;
    struct whereabouts *where; /* owns */
    struct wire *wires;
    size_t wire_count;
    struct client_call *first, **last; /* the queue */
    struct client_call *all;
    uint64_t round; /* of failing all that waits: what comes meanwhile is of the next */
    uint32_t silence_ms;
    uint8_t version; /* of the last connection that came up; 0: none yet */
    uint32_t attempt;
    uint64_t not_before_ms; /* no connecting until then */
    struct timer retry;
    struct defer dispatch;
    char *token; /* owns */
    uint64_t token_read_ms;
    struct plugin *plugin; /* runs: calls wait for it */
    bool is_known;         /* it said who we are */
    uint64_t until_ms;     /* wall clock; 0: for good */
    char *certificate;     /* owns; that it gave, or NULL */
    char *why;             /* owns; of the last one that failed */
    bool closing;
    struct client_counters counters;
};

static const struct http_settings SETTINGS = {
    .version = HTTP_AUTO,
    .stream_window = LIMIT_KUBE_WINDOW,
    .ping_ms = LIMIT_KUBE_PING_MS,
    .body_ms = LIMIT_KUBE_SILENCE_MS,
    .idle_ms = LIMIT_KUBE_IDLE_MS,
};

/* ---- calls ---- */

static void free_call(struct client_call *call)
{
    *call->all_at = call->all_next;
    if (call->all_next != NULL)
        call->all_next->all_at = call->all_at;
    loop_disarm(call->client->loop, &call->deadline);
    builder_fini(&call->in);
    free(call->path);
    free(call->body);
    free(call->viewer);
    free(call);
}

static void unqueue(struct client_call *call)
{
    struct client *client = call->client;
    for (struct client_call **at = &client->first; *at != NULL; at = &(*at)->next) {
        if (*at != call)
            continue;
        *at = call->next;
        if (client->last == &call->next)
            client->last = at;
        return;
    }
}

/* Ends the call: its memory goes now, or with its stream. */
static void settle(struct client_call *call)
{
    call->events = NULL;
    if (call->stream != NULL) {
        http_stream_reset(call->stream, ERR_CLOSED);
        return;
    }
    unqueue(call);
    free_call(call);
}

static void finish(struct client_call *call)
{
    const struct client_events *events = call->events;
    void *owner = call->owner;
    if (events == NULL)
        return;
    struct client_answer answer = call->answer;
    struct builder body = call->in; /* outlives the call, for the callback */
    call->in = (struct builder){0};
    if (answer.status == 401) {
        call->client->token_read_ms = 0;
        call->client->is_known = false;
    }
    answer.body = builder_text(&body);
    settle(call);
    events->on_done(owner, &answer);
    builder_fini(&body);
}

static void fail(struct client_call *call, const char *why)
{
    call->answer = (struct client_answer){.why = why};
    finish(call);
}

static void on_deadline(void *owner)
{
    const struct client_call *call = owner;
    bool is_waiting = call->stream == NULL && call->client->plugin != NULL;
    fail(owner, is_waiting ? "the credential plugin gave no answer in time" : "no answer in time");
}

void client_cancel(struct client_call *call)
{
    if (call != NULL && call->events != NULL)
        settle(call);
}

/* ---- the answer ---- */

static void on_head(void *owner, struct http_stream *stream, struct message *head, bool end)
{
    (void)stream;
    struct client_call *call = owner;
    if (call->events == NULL)
        return;
    uint64_t seconds = 0;
    call->answer.status = head->status;
    if (text_to_u64(message_value(head, NAME_RETRY_AFTER), &seconds))
        call->answer.retry_after_s = (uint32_t)MIN(seconds, (uint64_t)3600);
    if (end)
        finish(call);
}

/* False: the call is over. */
static bool tell_lines(struct client_call *call, struct text bytes)
{
    while (bytes.len > 0) {
        size_t end = text_find(bytes, '\n', 0);
        builder_add(&call->in, text_slice(bytes, 0, end));
        if (call->in.len > LIMIT_KUBE_LINE) {
            fail(call, "a line is too long");
            return false;
        }
        if (end == bytes.len)
            return true;
        bytes = text_slice(bytes, end + 1, bytes.len);
        if (call->in.len > 0)
            call->events->on_line(call->owner, builder_text(&call->in));
        if (call->events == NULL)
            return false;
        builder_clear(&call->in);
    }
    return true;
}

static bool take(struct client_call *call, struct text bytes)
{
    if (call->events->on_line != NULL && call->answer.status == 200)
        return tell_lines(call, bytes);
    builder_add(&call->in, bytes);
    if (call->in.len <= LIMIT_KUBE_BODY)
        return true;
    fail(call, "the answer is too long");
    return false;
}

static void on_readable(void *owner, struct http_stream *stream)
{
    struct client_call *call = owner;
    while (call->events != NULL) {
        struct text bytes = http_stream_peek(stream);
        if (bytes.len == 0)
            break;
        if (!take(call, bytes))
            return;
        http_stream_consume(stream, bytes.len);
    }
    if (call->events != NULL && stream->read_ended)
        finish(call);
}

static void write_body(struct client_call *call)
{
    struct text rest = text_from(call->body + call->sent, call->body_len - call->sent);
    if (rest.len > 0)
        call->sent += http_stream_write(call->stream, rest, true);
}

static void on_writable(void *owner, struct http_stream *stream)
{
    (void)stream;
    struct client_call *call = owner;
    if (call->events != NULL)
        write_body(call);
}

static void on_abort(void *owner, struct http_stream *stream, enum err err)
{
    struct client_call *call = owner;
    fail(call, stream->why != NULL ? stream->why : err_name(err));
}

static void on_stream_closed(void *owner, struct http_stream *stream)
{
    struct client_call *call = owner;
    call->stream = NULL;
    if (call->events == NULL)
        free_call(call);
    else
        fail(call, stream->why != NULL ? stream->why : "the stream ended");
}

static const struct http_stream_events STREAM_EVENTS = {
    .on_head = on_head,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_abort = on_abort,
    .on_closed = on_stream_closed,
};

/* ---- the request ---- */

static void read_token(struct client *client)
{
    const struct kube_config *config = client->config;
    uint64_t now = loop_now_ms(client->loop);
    bool is_fresh = client->token_read_ms != 0 && now - client->token_read_ms < TOKEN_AGE_MS;
    if (config->token_file == NULL || is_fresh)
        return;
    struct arena arena;
    struct text token;
    arena_init(&arena, 0);
    if (directory_read(config->token_file, &arena, &token) == NULL) {
        while (token.len > 0 && (unsigned char)token.data[token.len - 1] <= ' ')
            token.len--;
        free(client->token);
        client->token = memory_string(token);
        client->token_read_ms = MAX(now, 1u);
    }
    arena_fini(&arena);
}

static void add_fields(struct client_call *call, struct message *head)
{
    struct client *client = call->client;
    struct arena *arena = &call->stream->arena;
    read_token(client);
    struct text token = client->token != NULL ? text_of(client->token) : client->config->token;
    message_add(head, arena, name_text(NAME_ACCEPT), TEXT("application/json"));
    message_add(head, arena, name_text(NAME_USER_AGENT), TEXT("nantian-control/" NANTIAN_VERSION));
    if (token.len > 0)
        message_add(head, arena, name_text(NAME_AUTHORIZATION),
                    arena_printf(arena, "Bearer " TEXT_FMT, TEXT_ARG(token)));
    if (call->viewer != NULL)
        message_add(head, arena, TEXT(CLIENT_VIEWER), text_of(call->viewer));
    if (call->content_type == NULL)
        return;
    message_add(head, arena, name_text(NAME_CONTENT_TYPE), text_of(call->content_type));
    head->framing = FRAMING_LENGTH;
    head->content_length = call->body_len;
}

static void send_call(struct client_call *call, struct http_stream *stream)
{
    struct client *client = call->client;
    call->stream = stream;
    http_stream_own(stream, &STREAM_EVENTS, call);
    struct message head;
    message_init(&head);
    struct text path = text_of(call->path);
    size_t mark = text_find(path, '?', 0);
    head.method_name = text_of(call->method);
    head.method = message_method(head.method_name);
    head.scheme = client->config->is_tls ? TEXT("https") : TEXT("http");
    head.authority = head.host = client->config->authority;
    head.path = text_slice(path, 0, mark);
    head.has_query = mark < path.len;
    head.query = text_slice(path, mark + 1, path.len);
    add_fields(call, &head);
    client->counters.requests++;
    http_stream_send_head(stream, &head, call->body_len == 0);
    write_body(call);
}

/* ---- connections ---- */

static void on_ready(void *owner, struct http_connection *connection)
{
    struct wire *wire = owner;
    wire->is_ready = true;
    wire->client->version = connection->version;
    wire->client->attempt = 0;
    loop_defer(wire->client->loop, &wire->client->dispatch);
}

/* Who hears of it may cancel another one that waits, or start one. */
static void fail_all(struct client *client, const char *why)
{
    uint64_t round = client->round++;
    while (client->first != NULL && client->first->round <= round)
        fail(client->first, why);
}

/* No connecting, and no asking who we are, for a while. */
static void back_off(struct client *client)
{
    client->counters.failures++;
    uint64_t step = (uint64_t)LIMIT_RECONNECT_MIN_MS << MIN(client->attempt, 8u);
    step = MIN(step, (uint64_t)LIMIT_RECONNECT_MAX_MS);
    step = step / 2 + random_below(loop_random(client->loop), step / 2 + 1);
    client->attempt++;
    client->not_before_ms = loop_now_ms(client->loop) + step;
    loop_arm(client->loop, &client->retry, step);
}

static void on_failure(struct client *client, const char *why)
{
    back_off(client);
    if (client->wires == NULL)
        fail_all(client, why);
}

static void on_closed(void *owner, struct http_connection *connection, enum err err)
{
    struct wire *wire = owner;
    struct client *client = wire->client;
    const char *why = connection->why != NULL ? connection->why : err_name(err);
    bool was_ready = wire->is_ready;
    for (struct wire **at = &client->wires; *at != NULL; at = &(*at)->next) {
        if (*at == wire) {
            *at = wire->next;
            break;
        }
    }
    struct address to = wire->to;
    client->wire_count--;
    free(wire);
    if (client->closing)
        return;
    if (was_ready && client->wires == NULL)
        whereabouts_forget(client->where);
    if (was_ready || whereabouts_fail(client->where, &to))
        loop_defer(client->loop, &client->dispatch);
    else
        on_failure(client, why);
}

static const struct http_connection_events CONNECTION_EVENTS = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};

static void on_whereabouts(void *owner, const char *why)
{
    struct client *client = owner;
    if (why != NULL)
        on_failure(client, why);
    else
        loop_defer(client->loop, &client->dispatch);
}

/* False: not now. */
static bool connect_one(struct client *client)
{
    const char *why = NULL;
    const struct address *to = whereabouts_get(client->where, &why);
    if (why != NULL)
        on_failure(client, why);
    if (to == NULL)
        return false;
    struct wire *wire = memory_new(struct wire);
    wire->client = client;
    wire->to = *to;
    client->counters.connects++;
    wire->connection = http_connect(client->loop, to, client->tls, client->config->server_name,
                                    LIMIT_CONNECT_MS, &SETTINGS, &CONNECTION_EVENTS, wire);
    if (wire->connection == NULL) {
        free(wire);
        if (whereabouts_fail(client->where, to)) /* no route to such an address, perhaps */
            loop_defer(client->loop, &client->dispatch);
        else
            on_failure(client, "the kernel refused a socket");
        return false;
    }
    stream_set_silence(&wire->connection->stream, client->silence_ms);
    wire->next = client->wires;
    client->wires = wire;
    client->wire_count++;
    return true;
}

static struct http_stream *open_stream(struct client *client)
{
    for (struct wire *wire = client->wires; wire != NULL; wire = wire->next)
        if (wire->is_ready && http_can_open(wire->connection))
            return http_open(wire->connection);
    return NULL;
}

/* HTTP/1 wants a connection for each call that waits; HTTP/2, or not knowing, one at a time. */
static void connect_more(struct client *client, size_t waiting)
{
    size_t connecting = 0;
    for (const struct wire *wire = client->wires; wire != NULL; wire = wire->next)
        connecting += !wire->is_ready;
    size_t wanted = client->version == 11 ? waiting : 1;
    if (loop_now_ms(client->loop) < client->not_before_ms)
        return;
    while (connecting < wanted && client->wire_count < LIMIT_KUBE_CONNECTIONS &&
           connect_one(client))
        connecting++;
}

/* ---- who we are ---- */

static struct tls_context *make_tls(const struct kube_config *config, struct text certificate,
                                    struct text key, const char **ret_why)
{
    static const char *const ALPN[] = {"h2", "http/1.1", NULL};
    struct tls_client_options options = {
        .ca_pem = config->ca, .alpn = ALPN, .insecure = config->is_insecure};
    if (certificate.len > 0) {
        options.certificate = tls_certificate_new(certificate, key, ret_why);
        if (options.certificate == NULL)
            return NULL;
    }
    struct tls_context *tls = tls_client_new(&options, ret_why);
    tls_certificate_unref(options.certificate);
    return tls;
}

/* Connections that were made as somebody else end, as in client-go. */
static const char *present(struct client *client, const struct plugin_credential *credential)
{
    const char *why = NULL;
    struct text before = text_of(client->certificate);
    if (!client->config->is_tls || text_equal(credential->certificate, before))
        return NULL;
    struct tls_context *tls =
        make_tls(client->config, credential->certificate, credential->key, &why);
    if (tls == NULL)
        return why;
    tls_context_unref(client->tls);
    client->tls = tls;
    free(client->certificate);
    client->certificate = memory_string(credential->certificate);
    for (struct wire *wire = client->wires; wire != NULL; wire = wire->next)
        http_close(wire->connection, ERR_CLOSED);
    return NULL;
}

static void on_credential(void *owner, const struct plugin_credential *credential, const char *why)
{
    struct client *client = owner;
    client->plugin = NULL;
    if (credential != NULL)
        why = present(client, credential);
    if (why != NULL) {
        free(client->why);
        client->why = memory_string(text_of(why));
        back_off(client);
        fail_all(client, client->why);
        return;
    }
    free(client->token);
    client->token = credential->token.len > 0 ? memory_string(credential->token) : NULL;
    client->is_known = true;
    client->until_ms = credential->until_ms;
    loop_defer(client->loop, &client->dispatch);
}

/* False: not yet; dispatch comes again when it is. */
static bool know_ourselves(struct client *client)
{
    uint64_t now_ms = loop_wall_ns(client->loop) / 1000000;
    if (client->config->plugin == NULL ||
        (client->is_known && (client->until_ms == 0 || now_ms < client->until_ms)))
        return true;
    if (client->plugin == NULL && loop_now_ms(client->loop) >= client->not_before_ms)
        client->plugin = plugin_start(client->loop, client->config, on_credential, client);
    return false;
}

/* ---- the queue ---- */

static void on_dispatch(void *owner)
{
    struct client *client = owner;
    size_t waiting = 0;
    if (client->closing || client->first == NULL || !know_ourselves(client))
        return;
    while (client->first != NULL) {
        struct client_call *call = client->first;
        if (call->may_start != NULL && !call->may_start(call->guard)) {
            fail(call, "it is not ours to send any more");
            continue;
        }
        struct http_stream *stream = open_stream(client);
        if (stream == NULL)
            break;
        unqueue(call);
        call->next = NULL;
        send_call(call, stream);
    }
    for (const struct client_call *call = client->first; call != NULL; call = call->next)
        waiting++;
    if (waiting > 0)
        connect_more(client, waiting);
}

static void on_retry(void *owner)
{
    struct client *client = owner;
    loop_defer(client->loop, &client->dispatch);
}

struct client_call *client_start(struct client *client, const struct client_request *request,
                                 const struct client_events *events, void *owner)
{
    struct client_call *call = memory_new(struct client_call);
    struct builder path = {0};
    builder_add(&path, client->config->prefix);
    builder_add(&path, request->path);
    call->client = client;
    call->round = client->round;
    call->events = events;
    call->owner = owner;
    call->may_start = request->may_start;
    call->guard = request->guard;
    call->method = request->method;
    call->path = path.data;
    if (request->content_type != NULL) {
        call->content_type = request->content_type;
        call->body = memory_string(request->body);
        call->body_len = request->body.len;
    }
    if (request->viewer.len > 0)
        call->viewer = memory_string(request->viewer);
    call->all_next = client->all;
    call->all_at = &client->all;
    if (client->all != NULL)
        client->all->all_at = &call->all_next;
    client->all = call;
    *client->last = call;
    client->last = &call->next;
    timer_init(&call->deadline, call, on_deadline);
    if (request->timeout_ms > 0)
        loop_arm(client->loop, &call->deadline, request->timeout_ms);
    loop_defer(client->loop, &client->dispatch);
    return call;
}

uint64_t client_backoff_ms(struct loop *loop, uint32_t failures, const struct client_answer *answer)
{
    uint64_t step = (uint64_t)LIMIT_KUBE_RETRY_MIN_MS << MIN(failures, 16u);
    step = MIN(step, (uint64_t)LIMIT_KUBE_RETRY_MAX_MS);
    step = step / 2 + random_below(loop_random(loop), step / 2 + 1);
    return MAX(step, (uint64_t)answer->retry_after_s * 1000);
}

struct client *client_new(struct loop *loop, const struct kube_config *config, uint32_t silence_ms,
                          const char **ret_why)
{
    struct tls_context *tls =
        config->is_tls ? make_tls(config, config->certificate, config->key, ret_why) : NULL;
    if (config->is_tls && tls == NULL)
        return NULL;
    struct client *client = memory_new(struct client);
    client->loop = loop;
    client->config = config;
    client->silence_ms = silence_ms;
    client->tls = tls;
    client->last = &client->first;
    client->where = whereabouts_new(loop, config, on_whereabouts, client);
    timer_init(&client->retry, client, on_retry);
    defer_init(&client->dispatch, client, on_dispatch);
    return client;
}

void client_free(struct client *client)
{
    if (client == NULL)
        return;
    client->closing = true;
    whereabouts_free(client->where);
    plugin_cancel(client->plugin);
    for (struct client_call *call = client->all, *next; call != NULL; call = next) {
        next = call->all_next;
        if (call->events != NULL && call->stream == NULL)
            settle(call);
        else
            call->events = NULL;
    }
    for (struct wire *wire = client->wires; wire != NULL; wire = wire->next)
        http_close(wire->connection, ERR_CLOSED);
    loop_settle(client->loop);
    CHECK(client->wires == NULL && client->all == NULL);
    loop_disarm(client->loop, &client->retry);
    loop_undefer(client->loop, &client->dispatch);
    tls_context_unref(client->tls);
    free(client->token);
    free(client->certificate);
    free(client->why);
    free(client);
}

const struct client_counters *client_counters(const struct client *client)
{
    return &client->counters;
}
