/* The only file that knows nghttp2. Its HTTP messaging checks are off: they end the whole
 * connection where RFC 9113 8.1.1 ends a stream; h2_message.c has ours, which are stricter. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_session.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "http/h2_flood.h"
#include "http/h2_frames.h"

struct h2_session {
    nghttp2_session *nghttp2; /* owns */
    const struct h2_session_events *events;
    void *owner;
    struct buffer *out; /* borrows: the connection's */
    size_t out_max;
    uint64_t now_ms;
    struct h2_frames frames;
    struct h2_flood flood;
    void *reading; /* borrows: the stream whose head comes; NULL: look it up */
    int32_t reading_id;
    const char *why;
    nghttp2_nv *fields; /* owns; scratch for heads to be sent */
    size_t fields_cap;
    bool serving;
    bool calm;   /* the peer overdid it: end with ENHANCE_YOUR_CALM */
    bool paused; /* `out` is full */
    bool terminated;
};

const char *h2_code_name(uint32_t code)
{
    static const char *const NAMES[] = {
        "h2: NO_ERROR",
        "h2: PROTOCOL_ERROR",
        "h2: INTERNAL_ERROR",
        "h2: FLOW_CONTROL_ERROR",
        "h2: SETTINGS_TIMEOUT",
        "h2: STREAM_CLOSED",
        "h2: FRAME_SIZE_ERROR",
        "h2: REFUSED_STREAM",
        "h2: CANCEL",
        "h2: COMPRESSION_ERROR",
        "h2: CONNECT_ERROR",
        "h2: ENHANCE_YOUR_CALM",
        "h2: INADEQUATE_SECURITY",
        "h2: HTTP_1_1_REQUIRED",
    };
    return code < ARRAY_LEN(NAMES) ? NAMES[code] : "h2: unknown error";
}

/* ---- the peer's frames ---- */

static int verdict(const struct h2_session *session)
{
    return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void h2_session_blame(struct h2_session *session)
{
    if (!h2_flood_reset(&session->flood, session->now_ms))
        session->calm = true;
}

static void reject(struct h2_session *session, int32_t id, enum h2_code code)
{
    h2_session_blame(session);
    h2_session_reset(session, id, code);
}

static void *stream_of(const struct h2_session *session, int32_t id)
{
    if (session->reading != NULL && session->reading_id == id)
        return session->reading;
    return nghttp2_session_get_stream_user_data(session->nghttp2, id);
}

static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
    struct h2_session *session = user;
    int32_t id = frame->hd.stream_id;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return verdict(session);
    void *known = nghttp2_session_get_stream_user_data(nghttp2, id);
    if (known == NULL)
        h2_flood_stream(&session->flood, session->now_ms);
    if (known == NULL && frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return verdict(session);
    void *stream = session->events->on_begin(session->owner, id, known);
    if (stream == NULL) {
        reject(session, id, H2_REFUSED_STREAM);
        return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (known == NULL)
        nghttp2_session_set_stream_user_data(nghttp2, id, stream);
    session->reading = stream;
    session->reading_id = id;
    return verdict(session);
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)nghttp2;
    (void)flags;
    struct h2_session *session = user;
    void *stream = stream_of(session, frame->hd.stream_id);
    if (stream == NULL || frame->hd.type != NGHTTP2_HEADERS)
        return verdict(session);
    if (session->events->on_field(session->owner, stream, text_from((const char *)name, name_len),
                                  text_from((const char *)value, value_len)))
        return verdict(session);
    reject(session, frame->hd.stream_id, H2_PROTOCOL_ERROR);
    return session->calm ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void tell_message(struct h2_session *session, const nghttp2_frame *frame, void *stream)
{
    enum h2_code code = H2_NO_ERROR;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        code = session->events->on_head(session->owner, stream, end);
    else if (end)
        code = session->events->on_end(session->owner, stream);
    if (code != H2_NO_ERROR)
        reject(session, frame->hd.stream_id, code);
}

static int on_frame_recv(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
    (void)nghttp2;
    struct h2_session *session = user;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        void *stream = stream_of(session, frame->hd.stream_id);
        session->reading = NULL;
        if (stream != NULL)
            tell_message(session, frame, stream);
        break;
    }
    case NGHTTP2_RST_STREAM:
        if (session->serving)
            h2_session_blame(session);
        break;
    case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
            session->events->on_settings(session->owner);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
            session->events->on_ping_ack(session->owner);
        break;
    case NGHTTP2_GOAWAY:
        session->events->on_goaway(session->owner, frame->goaway.error_code);
        break;
    default:
        break;
    }
    return verdict(session);
}

static int on_invalid_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, int error,
                            void *user)
{
    (void)nghttp2;
    (void)frame;
    (void)error;
    struct h2_session *session = user;
    h2_session_blame(session); /* made-you-reset: what it makes us send counts the same */
    return verdict(session);
}

static int on_data_chunk(nghttp2_session *nghttp2, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    (void)flags;
    struct h2_session *session = user;
    void *stream = nghttp2_session_get_stream_user_data(nghttp2, id);
    if (stream == NULL) {
        h2_session_consume(session, id, len);
        return verdict(session);
    }
    enum h2_code code =
        session->events->on_data(session->owner, stream, text_from((const char *)data, len));
    if (code != H2_NO_ERROR)
        reject(session, id, code);
    return verdict(session);
}

static int on_stream_close(nghttp2_session *nghttp2, int32_t id, uint32_t code, void *user)
{
    struct h2_session *session = user;
    void *stream = nghttp2_session_get_stream_user_data(nghttp2, id);
    if (session->reading_id == id)
        session->reading = NULL;
    if (stream != NULL) {
        nghttp2_session_set_stream_user_data(nghttp2, id, NULL);
        session->events->on_gone(session->owner, stream, code);
    }
    return 0;
}

/* ---- what the peer's frames are fed through ---- */

/* Counted for what they cost; and what nghttp2 ignores: frames on a stream that the peer itself
 * ended (RFC 9113 5.1), PRIORITY on stream 0 (6.3) or on itself. */
static enum h2_code judge(struct h2_session *session, const struct h2_frame *frame)
{
    struct h2_flood *flood = &session->flood;
    bool is_message = frame->type == NGHTTP2_DATA || frame->type == NGHTTP2_HEADERS;
    bool ends = is_message && (frame->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool fine = true;
    if (is_message && h2_flood_has_ended(flood, frame->id))
        return H2_STREAM_CLOSED;
    if (ends || frame->type == NGHTTP2_RST_STREAM)
        h2_flood_end(flood, frame->id);
    switch (frame->type) {
    case NGHTTP2_DATA:
        fine = h2_flood_data(flood, frame->len == 0 && !ends);
        break;
    case NGHTTP2_HEADERS:
        if (session->serving && frame->id % 2 == 1 && !h2_flood_id(flood, frame->id))
            return H2_PROTOCOL_ERROR;
        break;
    case NGHTTP2_CONTINUATION:
        fine = h2_flood_continuation(flood, frame->len == 0);
        break;
    case NGHTTP2_PRIORITY:
        if (frame->id == 0 || (frame->len == 5 && frame->word == (uint32_t)frame->id))
            return H2_PROTOCOL_ERROR;
        fine = h2_flood_control(flood, session->now_ms);
        break;
    default:
        fine = h2_flood_control(flood, session->now_ms);
        break;
    }
    return fine ? H2_NO_ERROR : H2_CALM;
}

/* RFC 9113 6.9.1: of a stream it ends that stream; nghttp2 would end the connection. */
static bool overflows(struct h2_session *session, const struct h2_frame *frame)
{
    int32_t window =
        frame->type != NGHTTP2_WINDOW_UPDATE || frame->id == 0
            ? 0
            : nghttp2_session_get_stream_remote_window_size(session->nghttp2, frame->id);
    if (window <= 0 || frame->word <= (uint32_t)(INT32_MAX - window))
        return false;
    void *stream = nghttp2_session_get_stream_user_data(session->nghttp2, frame->id);
    if (stream != NULL)
        session->events->on_broken(session->owner, stream, H2_FLOW_CONTROL_ERROR);
    reject(session, frame->id, H2_FLOW_CONTROL_ERROR);
    return true;
}

static enum h2_code feed(struct h2_session *session, struct text bytes)
{
    if (bytes.len == 0)
        return H2_NO_ERROR;
    nghttp2_ssize took =
        nghttp2_session_mem_recv2(session->nghttp2, (const uint8_t *)bytes.data, bytes.len);
    if (session->calm || took == NGHTTP2_ERR_FLOODED || took == NGHTTP2_ERR_TOO_MANY_SETTINGS ||
        took == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        return H2_CALM;
    if (took == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        return H2_PROTOCOL_ERROR;
    return took < 0 ? H2_INTERNAL_ERROR : H2_NO_ERROR;
}

/* What was judged goes on in runs as long as may be; a frame that was cut goes on by itself. */
static enum h2_code receive(struct h2_session *session, struct text bytes)
{
    struct h2_frame frame;
    enum h2_code code = H2_NO_ERROR;
    size_t from = 0, at = 0;
    while (h2_frames_next(&session->frames, bytes, &at, &frame)) {
        enum h2_code verdict = judge(session, &frame);
        if (verdict == H2_NO_ERROR && frame.type != NGHTTP2_WINDOW_UPDATE && !frame.was_cut)
            continue;
        if ((code = feed(session, text_slice(bytes, from, frame.at))) != H2_NO_ERROR)
            return code;
        if (verdict != H2_NO_ERROR)
            return verdict;
        bool dropped = overflows(session, &frame);
        from = dropped || frame.was_cut ? at : frame.at;
        if (!dropped && frame.was_cut && (code = feed(session, frame.head)) != H2_NO_ERROR)
            return code;
    }
    return feed(session, text_slice(bytes, from, frame.at));
}

enum err h2_session_receive(struct h2_session *session, struct text bytes, uint64_t now_ms)
{
    session->now_ms = now_ms;
    if (session->terminated)
        return ERR_PROTOCOL;
    enum h2_code code = receive(session, bytes);
    if (code == H2_NO_ERROR)
        return ERR_NONE;
    h2_session_terminate(session, code);
    session->why = h2_code_name(code);
    return code == H2_CALM ? ERR_LIMIT : ERR_PROTOCOL;
}

/* ---- our frames ---- */

/* nghttp2 copies the array, not what it points to. */
static const nghttp2_nv *fields_of(struct h2_session *session, const struct h2_field *fields,
                                   size_t count)
{
    if (count > session->fields_cap) {
        session->fields_cap = count * 2;
        session->fields = memory_resize(session->fields, session->fields_cap * sizeof(nghttp2_nv));
    }
    for (size_t i = 0; i < count; i++)
        session->fields[i] = (nghttp2_nv){
            (uint8_t *)(uintptr_t)fields[i].name.data, (uint8_t *)(uintptr_t)fields[i].value.data,
            fields[i].name.len, fields[i].value.len,
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
    return session->fields;
}

static nghttp2_ssize read_body(nghttp2_session *nghttp2, int32_t id, uint8_t *unused, size_t max,
                               uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)unused;
    struct h2_session *session = user;
    struct h2_body *body = source->ptr;
    size_t len = MIN(max, buffer_len(&body->bytes));
    if (len == 0 && !body->end) {
        body->waiting = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (body->end && len == buffer_len(&body->bytes)) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (body->trailers != NULL) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            const nghttp2_nv *fields = fields_of(session, body->trailers, body->trailer_count);
            (void)nghttp2_submit_trailer(nghttp2, id, fields, body->trailer_count);
        }
    }
    return (nghttp2_ssize)len;
}

static int send_data(nghttp2_session *nghttp2, nghttp2_frame *frame, const uint8_t *head,
                     size_t len, nghttp2_data_source *source, void *user)
{
    struct h2_session *session = user;
    struct h2_body *body = source->ptr;
    int32_t id = frame->hd.stream_id;
    size_t room = H2_FRAME_HEAD + len;
    /* Grown once, not step by step with all that is there copied each time. */
    if (room > buffer_room(session->out) && buffer_len(session->out) > LIMIT_BUFFER_BLOCK / 2)
        room += LIMIT_H2_OUT;
    char *to = buffer_reserve(session->out, room);
    memcpy(to, head, H2_FRAME_HEAD);
    if (len > 0)
        memcpy(to + H2_FRAME_HEAD, buffer_text(&body->bytes).data, len);
    session->out->end += (uint32_t)(H2_FRAME_HEAD + len);
    buffer_consume(&body->bytes, len);
    h2_flood_progress(&session->flood);
    void *stream = nghttp2_session_get_stream_user_data(nghttp2, id);
    if (stream != NULL)
        session->events->on_sent(session->owner, stream, len,
                                 (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    if (buffer_len(session->out) >= session->out_max) {
        session->paused = true;
        return NGHTTP2_ERR_PAUSE;
    }
    return 0;
}

static int on_frame_send(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
    struct h2_session *session = user;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        session->why = h2_code_name(frame->goaway.error_code);
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    h2_flood_progress(&session->flood);
    void *stream = nghttp2_session_get_stream_user_data(nghttp2, frame->hd.stream_id);
    if (stream != NULL)
        session->events->on_sent(session->owner, stream, 0,
                                 (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    return 0;
}

enum err h2_session_flush(struct h2_session *session, size_t max)
{
    session->out_max = max;
    session->paused = false;
    while (!session->paused && buffer_len(session->out) < max) {
        const uint8_t *data = NULL;
        nghttp2_ssize len = nghttp2_session_mem_send2(session->nghttp2, &data);
        if (len < 0) {
            session->why = "h2: cannot encode";
            return ERR_PROTOCOL;
        }
        if (len == 0)
            break;
        buffer_add(session->out, data, (size_t)len);
    }
    return ERR_NONE;
}

bool h2_session_has_output(const struct h2_session *session)
{
    return nghttp2_session_want_write(session->nghttp2) != 0;
}

bool h2_session_is_over(const struct h2_session *session)
{
    return nghttp2_session_want_read(session->nghttp2) == 0 &&
           nghttp2_session_want_write(session->nghttp2) == 0;
}

const char *h2_session_why(const struct h2_session *session)
{
    return session->why;
}

/* ---- making and ending ---- */

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *to = NULL;
    CHECK(nghttp2_session_callbacks_new(&to) == 0);
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(to, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(to, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(to, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(to, on_frame_send);
    return to;
}

static nghttp2_option *option_new(void)
{
    nghttp2_option *option = NULL;
    CHECK(nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, LIMIT_H2_STREAMS);
    nghttp2_option_set_max_outbound_ack(option, LIMIT_H2_CONTROL_QUEUE);
    nghttp2_option_set_max_continuations(option, LIMIT_H2_CONTINUATIONS);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, LIMIT_H2_TABLE);
    /* Ours (h2_flood.c) are tighter and know which resets are honest: these only stand behind. */
    nghttp2_option_set_stream_reset_rate_limit(option, 10 * LIMIT_H2_RESETS, LIMIT_H2_RESETS);
    nghttp2_option_set_glitch_rate_limit(option, LIMIT_H2_CONTROL_QUEUE, LIMIT_H2_RESETS);
    return option;
}

/* The bytes of SETTINGS_MAX_CONCURRENT_STREAMS in the first SETTINGS of a server. nghttp2 ends the
 * connection when a client passes the bound that it was told; a stream over it is to be refused
 * alone (RFC 9113 5.1.2). So nghttp2 holds a larger bound than the one that is told. */
static void tell_streams_max(struct buffer *out)
{
    unsigned char *bytes = (unsigned char *)out->data + out->start;
    size_t len = ((size_t)bytes[0] << 16) | ((size_t)bytes[1] << 8) | bytes[2];
    for (size_t at = H2_FRAME_HEAD; at + 6 <= H2_FRAME_HEAD + len; at += 6) {
        if (bytes[at] != 0 || bytes[at + 1] != NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
            continue;
        bytes[at + 2] = bytes[at + 3] = bytes[at + 4] = 0;
        bytes[at + 5] = LIMIT_H2_STREAMS;
    }
}

static void submit_settings(struct h2_session *session, uint32_t window)
{
    nghttp2_settings_entry entries[6] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADER_BYTES},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, LIMIT_H2_TABLE},
    };
    size_t count = 3;
    if (session->serving)
        entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                                    LIMIT_H2_STREAMS + 2 * LIMIT_H2_RESETS};
    if (session->serving)
        entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    else
        entries[count++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    CHECK(nghttp2_submit_settings(session->nghttp2, NGHTTP2_FLAG_NONE, entries, count) == 0);
    CHECK(nghttp2_session_set_local_window_size(
              session->nghttp2, NGHTTP2_FLAG_NONE, 0,
              (int32_t)MAX((uint32_t)LIMIT_H2_CONNECTION_WINDOW, 4 * window)) == 0);
}

struct h2_session *h2_session_new(bool serving, uint32_t stream_window, struct buffer *out,
                                  const struct h2_session_events *events, void *owner)
{
    struct h2_session *session = memory_new(struct h2_session);
    session->events = events;
    session->owner = owner;
    session->out = out;
    session->serving = serving;
    h2_frames_init(&session->frames, serving);
    session->fields_cap = 32;
    session->fields = memory_alloc(session->fields_cap * sizeof(nghttp2_nv));
    nghttp2_session_callbacks *callbacks = callbacks_new();
    nghttp2_option *option = option_new();
    int made = serving ? nghttp2_session_server_new2(&session->nghttp2, callbacks, session, option)
                       : nghttp2_session_client_new2(&session->nghttp2, callbacks, session, option);
    CHECK(made == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    submit_settings(session, stream_window);
    size_t before = buffer_len(out);
    CHECK(h2_session_flush(session, SIZE_MAX) == ERR_NONE);
    if (serving && before == 0)
        tell_streams_max(out);
    return session;
}

void h2_session_free(struct h2_session *session)
{
    if (session == NULL)
        return;
    nghttp2_session_del(session->nghttp2);
    free(session->fields);
    free(session);
}

static nghttp2_data_provider2 provider_of(struct h2_body *body)
{
    return (nghttp2_data_provider2){.source.ptr = body, .read_callback = read_body};
}

int32_t h2_session_request(struct h2_session *session, const struct h2_field *fields, size_t count,
                           struct h2_body *body, void *stream)
{
    nghttp2_data_provider2 provider = provider_of(body);
    h2_flood_stream(&session->flood, session->now_ms);
    int32_t id = nghttp2_submit_request2(session->nghttp2, NULL, fields_of(session, fields, count),
                                         count, body == NULL ? NULL : &provider, stream);
    return MAX(id, 0);
}

void h2_session_respond(struct h2_session *session, int32_t id, const struct h2_field *fields,
                        size_t count, struct h2_body *body)
{
    nghttp2_data_provider2 provider = provider_of(body);
    (void)nghttp2_submit_response2(session->nghttp2, id, fields_of(session, fields, count), count,
                                   body == NULL ? NULL : &provider);
}

void h2_session_inform(struct h2_session *session, int32_t id, const struct h2_field *fields,
                       size_t count)
{
    (void)nghttp2_submit_headers(session->nghttp2, NGHTTP2_FLAG_NONE, id, NULL,
                                 fields_of(session, fields, count), count, NULL);
}

void h2_session_resume(struct h2_session *session, int32_t id, struct h2_body *body)
{
    if (!body->waiting)
        return;
    body->waiting = false;
    (void)nghttp2_session_resume_data(session->nghttp2, id);
}

void h2_session_reset(struct h2_session *session, int32_t id, enum h2_code code)
{
    (void)nghttp2_submit_rst_stream(session->nghttp2, NGHTTP2_FLAG_NONE, id, (uint32_t)code);
}

void h2_session_consume(struct h2_session *session, int32_t id, size_t len)
{
    (void)nghttp2_session_consume(session->nghttp2, id, len);
}

bool h2_session_can_request(const struct h2_session *session)
{
    return nghttp2_session_check_request_allowed(session->nghttp2) != 0;
}

uint32_t h2_session_peer_streams(const struct h2_session *session)
{
    return nghttp2_session_get_remote_settings(session->nghttp2,
                                               NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void h2_session_ping(struct h2_session *session)
{
    (void)nghttp2_submit_ping(session->nghttp2, NGHTTP2_FLAG_NONE, NULL);
}

void h2_session_notice(struct h2_session *session)
{
    (void)nghttp2_submit_shutdown_notice(session->nghttp2);
    (void)nghttp2_submit_ping(session->nghttp2, NGHTTP2_FLAG_NONE, NULL);
}

void h2_session_goaway(struct h2_session *session, enum h2_code code)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->nghttp2);
    (void)nghttp2_submit_goaway(session->nghttp2, NGHTTP2_FLAG_NONE, last, (uint32_t)code, NULL, 0);
}

void h2_session_terminate(struct h2_session *session, enum h2_code code)
{
    session->terminated = true;
    (void)nghttp2_session_terminate_session(session->nghttp2, (uint32_t)code);
}
