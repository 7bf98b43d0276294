/* HTTP/2 frames, HPACK and flow control of one connection: the door to nghttp2. Knows neither
 * sockets nor messages; the files above fill in struct h2_session_events.
 *
 * Everything told to `events` happens inside h2_session_receive or h2_session_flush; every other
 * function may be called from there, but these two and h2_session_free. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buffer.h"
#include "base/err.h"
#include "base/text.h"

struct h2_session;

enum h2_code { /* RFC 9113 7 */
               H2_NO_ERROR = 0,
               H2_PROTOCOL_ERROR = 1,
               H2_INTERNAL_ERROR = 2,
               H2_FLOW_CONTROL_ERROR = 3,
               H2_STREAM_CLOSED = 5,
               H2_REFUSED_STREAM = 7,
               H2_CANCEL = 8,
               H2_CALM = 11, /* ENHANCE_YOUR_CALM */
};

struct h2_field {
    struct text name, value;
};

/* What DATA frames of a stream are made of; stands in the stream. */
struct h2_body {
    struct buffer bytes;
    bool end;                  /* no more bytes will come */
    bool waiting;              /* the session found nothing; h2_session_resume when there is */
    struct h2_field *trailers; /* behind the last byte, if not NULL; borrows, as the stream lives */
    size_t trailer_count;
};

struct h2_session_events {
    /* A head begins. `stream` NULL: the peer opens one; return what stands for it, or NULL to
     * answer REFUSED_STREAM. */
    void *(*on_begin)(void *owner, int32_t id, void *stream);
    /* False: the stream is reset with PROTOCOL_ERROR, nothing more is told of it but on_gone. */
    bool (*on_field)(void *owner, void *stream, struct text name, struct text value);
    /* The three below: another code than NO_ERROR resets the stream. */
    enum h2_code (*on_head)(void *owner, void *stream, bool end);
    enum h2_code (*on_data)(void *owner, void *stream, struct text bytes);
    enum h2_code (*on_end)(void *owner, void *stream); /* END_STREAM on DATA */
    /* A head, or `len` bytes of its body, became frames; `end`: and END_STREAM with them. */
    void (*on_sent)(void *owner, void *stream, size_t len, bool end);
    /* We reset the stream for what the peer did, besides what the three above answered: nothing
     * more is told of it but on_gone. */
    void (*on_broken)(void *owner, void *stream, uint32_t code);
    /* The session forgot the stream: finished (NO_ERROR) or reset. */
    void (*on_gone)(void *owner, void *stream, uint32_t code);
    void (*on_settings)(void *owner); /* the peer's, also the first */
    void (*on_ping_ack)(void *owner);
    void (*on_goaway)(void *owner, uint32_t code);
};

/* Appends what is to be sent to `out` (borrows). The preface and SETTINGS are there at return.
 * `stream_window`: body bytes that a stream may hold unconsumed. */
struct h2_session *h2_session_new(bool serving, uint32_t stream_window, struct buffer *out,
                                  const struct h2_session_events *events, void *owner);
void h2_session_free(struct h2_session *session);

/* Takes all of `bytes`. An error ends the connection: flush (GOAWAY waits), then close. */
MUST_USE enum err h2_session_receive(struct h2_session *session, struct text bytes,
                                     uint64_t now_ms);
/* Appends frames to `out` until it holds `max` bytes or nothing is left. */
MUST_USE enum err h2_session_flush(struct h2_session *session, size_t max);
bool h2_session_has_output(const struct h2_session *session);
bool h2_session_is_over(const struct h2_session *session); /* neither reads nor writes any more */
const char *h2_session_why(const struct h2_session *session); /* static words of the last error */

/* Names and values of fields live as long as the stream; names are in lower case.
 * `body` NULL: END_STREAM comes with the head. 0: no stream can be opened. */
int32_t h2_session_request(struct h2_session *session, const struct h2_field *fields, size_t count,
                           struct h2_body *body, void *stream);
void h2_session_respond(struct h2_session *session, int32_t id, const struct h2_field *fields,
                        size_t count, struct h2_body *body);
void h2_session_inform(struct h2_session *session, int32_t id, const struct h2_field *fields,
                       size_t count);
void h2_session_resume(struct h2_session *session, int32_t id, struct h2_body *body);
void h2_session_reset(struct h2_session *session, int32_t id, enum h2_code code);
/* `len` body bytes were used: windows may open. */
void h2_session_consume(struct h2_session *session, int32_t id, size_t len);
/* What the peer does and that costs a reset of ours: counts towards its budget. */
void h2_session_blame(struct h2_session *session);

bool h2_session_can_request(const struct h2_session *session);
uint32_t h2_session_peer_streams(const struct h2_session *session); /* its MAX_CONCURRENT_STREAMS */
/* GOAWAY in two steps (RFC 9113 6.8): the notice with a PING behind it, then the last stream. */
void h2_session_ping(struct h2_session *session);
void h2_session_notice(struct h2_session *session);
void h2_session_goaway(struct h2_session *session, enum h2_code code);
/* GOAWAY, and nothing of the peer is read any more. */
void h2_session_terminate(struct h2_session *session, enum h2_code code);
const char *h2_code_name(uint32_t code);
