/* What a peer may send over HTTP/2, through the session and both readers of heads: whole and in
 * two pieces the same is told; what a request becomes is canonical. The first byte says where to
 * cut, its lowest bit whether we serve or call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h2_session.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"
#include "fuzz.h"
#include "http/h2_message.h"

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct stream {
    struct stream *next;
    int32_t id;
    bool failed, has_head;
    struct h2_head head;
    struct message message;
};

struct told {
    bool serving;
    struct h2_session *session;
    struct arena arena;
    struct buffer_pool pool;
    struct buffer out;
    struct stream *streams;
    uint64_t heads, fields, refused, bytes, ends, gone, settings, pings, goaways;
    bool has_gone_away; /* before the last piece */
    enum err err;
};

static void check_request(const struct stream *stream)
{
    const struct message *head = &stream->message;
    if (stream->head.refuse != 0 || head->framing == FRAMING_TUNNEL)
        return;
    CHECK(head->path.len > 0 && (head->path.data[0] == '/' || head->path.data[0] == '*'));
    CHECK(memmem(head->path.data, head->path.len, "/../", 4) == NULL && head->authority.len > 0);
    CHECK(message_get(head, NAME_CONNECTION) == NULL && message_get(head, NAME_UPGRADE) == NULL);
    CHECK(message_get(head, NAME_CONTENT_LENGTH) == NULL);
    CHECK(message_get(head, NAME_TRANSFER_ENCODING) == NULL);
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct text value = head->fields[i].value;
        CHECK(head->fields[i].name.len > 0);
        CHECK(text_find(value, '\r', 0) == value.len && text_find(value, '\n', 0) == value.len);
        CHECK(text_find(value, '\0', 0) == value.len);
    }
}

static void *on_begin(void *owner, int32_t id, void *known)
{
    struct told *told = owner;
    struct stream *stream = known;
    if (stream == NULL) {
        stream = memory_new(struct stream);
        stream->id = id;
        stream->next = told->streams;
        told->streams = stream;
    }
    message_init(&stream->message);
    h2_message_begin(&stream->head, &stream->message,
                     stream->has_head ? H2_TRAILERS
                     : told->serving  ? H2_REQUEST
                                      : H2_RESPONSE);
    return stream;
}

static bool on_field(void *owner, void *user, struct text name, struct text value)
{
    struct told *told = owner;
    struct stream *stream = user;
    told->fields++;
    if (!stream->failed &&
        !h2_message_field(&stream->head, &stream->message, &told->arena, name, value))
        stream->failed = true;
    CHECK(!stream->failed || stream->head.reason != NULL);
    return !stream->failed;
}

static enum h2_code on_head(void *owner, void *user, bool end)
{
    struct told *told = owner;
    struct stream *stream = user;
    struct h2_facts facts = {.merge_slashes = true, .end = end};
    if (stream->failed || !h2_message_end(&stream->head, &stream->message, &told->arena, &facts)) {
        CHECK(stream->head.reason != NULL);
        stream->failed = true;
        return H2_PROTOCOL_ERROR;
    }
    told->heads++;
    told->refused += stream->head.refuse != 0;
    if (stream->head.kind == H2_REQUEST)
        check_request(stream);
    stream->has_head = stream->head.kind != H2_RESPONSE || stream->message.status >= 200;
    return H2_NO_ERROR;
}

static enum h2_code on_data(void *owner, void *user, struct text bytes)
{
    struct told *told = owner;
    const struct stream *stream = user;
    told->bytes += bytes.len;
    h2_session_consume(told->session, stream->id, bytes.len);
    return H2_NO_ERROR;
}

static enum h2_code on_end(void *owner, void *user)
{
    (void)user;
    ((struct told *)owner)->ends++;
    return H2_NO_ERROR;
}

static void on_sent(void *owner, void *user, size_t len, bool end)
{
    (void)owner, (void)user, (void)len, (void)end;
}

static void on_broken(void *owner, void *user, uint32_t code)
{
    (void)owner, (void)code;
    ((struct stream *)user)->failed = true;
}

static void on_gone(void *owner, void *user, uint32_t code)
{
    (void)user, (void)code;
    ((struct told *)owner)->gone++;
}

static void on_settings(void *owner)
{
    ((struct told *)owner)->settings++;
}

static void on_ping_ack(void *owner)
{
    ((struct told *)owner)->pings++;
}

static void on_goaway(void *owner, uint32_t code)
{
    (void)code;
    ((struct told *)owner)->goaways++;
}

static const struct h2_session_events EVENTS = {
    .on_begin = on_begin,
    .on_field = on_field,
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_sent = on_sent,
    .on_broken = on_broken,
    .on_gone = on_gone,
    .on_settings = on_settings,
    .on_ping_ack = on_ping_ack,
    .on_goaway = on_goaway,
};

static void receive(struct told *told, struct text bytes)
{
    if (told->err == ERR_NONE && bytes.len > 0)
        told->err = h2_session_receive(told->session, bytes, 1);
}

/* Nothing is sent between the pieces, so that both ways the session knows the same. */
static void run(struct told *told, bool serving, struct text bytes, size_t cut)
{
    const struct h2_field call[] = {{TEXT(":method"), TEXT("GET")},
                                    {TEXT(":scheme"), TEXT("http")},
                                    {TEXT(":path"), TEXT("/")},
                                    {TEXT(":authority"), TEXT("a")}};
    *told = (struct told){.serving = serving};
    arena_init(&told->arena, 0);
    buffer_pool_init(&told->pool, 4);
    buffer_init(&told->out, &told->pool);
    told->session = h2_session_new(serving, 65535, &told->out, &EVENTS, told);
    for (int i = 0; i < 3 && !serving; i++) {
        struct stream *stream = memory_new(struct stream);
        stream->next = told->streams;
        told->streams = stream;
        stream->id = h2_session_request(told->session, call, ARRAY_LEN(call), NULL, stream);
    }
    CHECK(h2_session_flush(told->session, SIZE_MAX) == ERR_NONE);
    if (serving)
        receive(told, text_of(PREFACE));
    receive(told, text_slice(bytes, 0, cut));
    told->has_gone_away = told->goaways > 0;
    receive(told, text_slice(bytes, cut, bytes.len));
    CHECK(told->err == ERR_NONE || h2_session_why(told->session) != NULL);
    CHECK(h2_session_flush(told->session, SIZE_MAX) == ERR_NONE);
}

static void end(struct told *told)
{
    h2_session_free(told->session);
    for (struct stream *next; told->streams != NULL; told->streams = next) {
        next = told->streams->next;
        free(told->streams);
    }
    buffer_fini(&told->out);
    buffer_pool_fini(&told->pool);
    arena_fini(&told->arena);
}

static void check_same(const struct told *whole, const struct told *parts)
{
    CHECK(whole->err == parts->err);
    CHECK(whole->heads == parts->heads && whole->fields == parts->fields);
    CHECK(whole->refused == parts->refused && whole->bytes == parts->bytes);
    CHECK(whole->ends == parts->ends && whole->gone == parts->gone);
    CHECK(whole->settings == parts->settings && whole->pings == parts->pings);
    CHECK(whole->goaways == parts->goaways);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told whole, parts;
    if (size < 1)
        return 0;
    struct text bytes = text_from((const char *)data + 1, size - 1);
    bool serving = (data[0] & 1) == 0;
    run(&whole, serving, bytes, bytes.len);
    run(&parts, serving, bytes, data[0] * bytes.len / 256);
    /* A peer that went away and has no stream left is not listened to any more, from the next
     * piece on. */
    if (!parts.has_gone_away)
        check_same(&whole, &parts);
    end(&whole);
    end(&parts);
    return 0;
}
