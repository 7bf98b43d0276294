/* Types, base64 both ways, and the frame of the trailers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/rpc_web.h"

#define PIECE          12288 /* of a body, changed at once */
#define TRAILERS_FRAME 0x80

/* "application/grpc-web[-text][+format]"; parameters are nothing that we know. */
static bool read_type(struct text type, bool *ret_text, struct text *ret_format)
{
    static const struct text WEB = {"application/grpc-web", 20}, WORD = {"-text", 5};
    if (type.len < WEB.len || !text_equal_nocase(text_slice(type, 0, WEB.len), WEB))
        return false;
    struct text rest = text_slice(type, WEB.len, type.len);
    *ret_text = rest.len >= WORD.len && text_equal_nocase(text_slice(rest, 0, WORD.len), WORD);
    if (*ret_text)
        rest = text_slice(rest, WORD.len, rest.len);
    size_t end = MIN(text_find(rest, ';', 0), text_find(rest, ' ', 0));
    *ret_format = text_slice(rest, 0, MIN(end, rest.len));
    return ret_format->len == 0 || ret_format->data[0] == '+';
}

/* Which of the two the client wants back: what Accept names first, or what it sends. */
static bool wants_text(const struct message *request, bool is_text)
{
    struct text accept = message_value(request, NAME_ACCEPT), type, format;
    bool is_wanted;
    while (text_split(&accept, ',', &type))
        if (read_type(text_trim(type), &is_wanted, &format))
            return is_wanted;
    return is_text;
}

struct rpc_web *rpc_web_begin(struct exchange *x)
{
    struct message *request = x->request;
    struct text format;
    bool is_text;
    if (request->method != METHOD_POST || request->wants_upgrade ||
        !read_type(message_value(request, NAME_CONTENT_TYPE), &is_text, &format))
        return NULL;
    struct rpc_web *web = arena_new(x->arena, struct rpc_web);
    web->x = x;
    web->format = format;
    web->is_text_in = is_text;
    web->is_text_out = wants_text(request, is_text);
    web->reader.is_joined = true;
    buffer_init(&web->in, loop_buffers(x->loop));
    buffer_init(&web->out, loop_buffers(x->loop));
    message_set(request, x->arena, TEXT("content-type"),
                arena_printf(x->arena, "application/grpc" TEXT_FMT, TEXT_ARG(format)));
    message_set(request, x->arena, TEXT("te"), TEXT("trailers"));
    return web;
}

void rpc_web_fini(struct rpc_web *web)
{
    buffer_fini(&web->in);
    buffer_fini(&web->out);
}

/* -- the request -- */

size_t rpc_web_read(struct rpc_web *web, struct text bytes)
{
    size_t used = MIN(bytes.len, (size_t)PIECE), len = 0;
    if (web->is_bad)
        return bytes.len;
    char *out = buffer_reserve(&web->in, BASE64_ROOM(used));
    web->is_bad = !base64_read(&web->reader, text_slice(bytes, 0, used), out, &len);
    web->in.end += web->is_bad ? 0 : (uint32_t)len;
    buffer_release(&web->in);
    return used;
}

bool rpc_web_is_whole(struct rpc_web *web)
{
    web->is_bad = web->is_bad || !base64_is_whole(&web->reader);
    return !web->is_bad;
}

/* -- the response -- */

bool rpc_web_is_answer(const struct message *head)
{
    struct text type = message_value(head, NAME_CONTENT_TYPE);
    static const struct text GRPC = {"application/grpc", 16};
    return head->status == 200 && type.len >= GRPC.len &&
           text_equal_nocase(text_slice(type, 0, GRPC.len), GRPC) &&
           (type.len == GRPC.len || strchr("+; ", type.data[GRPC.len]) != NULL);
}

void rpc_web_head(struct rpc_web *web, bool end)
{
    struct exchange *x = web->x;
    if (!rpc_web_is_answer(x->response)) /* a filter's own, as a redirect */
        return;
    message_set(x->response, x->arena, TEXT("content-type"),
                arena_printf(x->arena, "application/grpc-web%s" TEXT_FMT,
                             web->is_text_out ? "-text" : "", TEXT_ARG(web->format)));
    if (!end)
        x->response->framing = FRAMING_CHUNKED;
}

static void put_text(struct rpc_web *web, struct text bytes)
{
    char *out = buffer_reserve(&web->out, bytes.len / 3 * 4 + 4);
    web->out.end += (uint32_t)base64_write(bytes, out);
}

static void put_carry(struct rpc_web *web)
{
    put_text(web, text_from(web->carry, web->carry_len));
    web->carry_len = 0;
}

/* Padding only where a frame ends: some clients decode frame by frame. */
static void encode(struct rpc_web *web, struct text bytes)
{
    while (bytes.len > 0) {
        size_t used = 1;
        if (web->carry_len == 0 && bytes.len >= 3) {
            used = bytes.len / 3 * 3;
            put_text(web, text_slice(bytes, 0, used));
        } else {
            web->carry[web->carry_len++] = bytes.data[0];
        }
        if (web->carry_len == sizeof(web->carry))
            put_carry(web);
        bytes = text_slice(bytes, used, bytes.len);
    }
}

static bool is_between(const struct rpc_web *web)
{
    return web->frame_len == 0;
}

/* The bytes up to the end of what is under way: a frame's beginning, or its message. */
static size_t step_frame(struct rpc_web *web, struct text bytes)
{
    size_t len;
    if (web->frame_len < sizeof(web->frame)) {
        len = MIN(bytes.len, sizeof(web->frame) - web->frame_len);
        memcpy(web->frame + web->frame_len, bytes.data, len);
        web->frame_len = (uint8_t)(web->frame_len + len);
        if (web->frame_len < sizeof(web->frame))
            return len;
        web->frame_left = 0;
        for (size_t i = 1; i < sizeof(web->frame); i++)
            web->frame_left = web->frame_left << 8 | (unsigned char)web->frame[i];
    } else {
        len = MIN(bytes.len, (size_t)web->frame_left);
        web->frame_left -= (uint32_t)len;
    }
    if (web->frame_left == 0)
        web->frame_len = 0;
    return len;
}

static void take(struct rpc_web *web, struct text bytes)
{
    while (bytes.len > 0) {
        size_t len = step_frame(web, bytes);
        if (web->is_text_out) {
            encode(web, text_slice(bytes, 0, len));
            if (is_between(web) && web->carry_len > 0)
                put_carry(web);
        }
        bytes = text_slice(bytes, len, bytes.len);
    }
}

bool rpc_web_flush(struct rpc_web *web)
{
    struct exchange *x = web->x;
    struct text rest = buffer_text(&web->out);
    if (rest.len == 0 && !web->is_ending)
        return true;
    size_t taken = http_stream_write(x->client, rest, web->is_ending);
    x->response_bytes += taken;
    if (taken > 0)
        buffer_consume(&web->out, taken);
    return taken == rest.len;
}

static size_t write_text(struct rpc_web *web, struct text bytes)
{
    size_t used = 0;
    while (rpc_web_flush(web) && used < bytes.len) {
        struct text piece = text_slice(bytes, used, MIN(bytes.len, used + PIECE));
        take(web, piece);
        used += piece.len;
    }
    return used;
}

size_t rpc_web_write(struct rpc_web *web, struct text bytes)
{
    struct exchange *x = web->x;
    if (web->is_text_out)
        return write_text(web, bytes);
    size_t used = http_stream_write(x->client, bytes, false);
    x->response_bytes += used;
    take(web, text_slice(bytes, 0, used));
    return used;
}

bool rpc_web_finish(struct rpc_web *web, const struct message *trailers)
{
    size_t len = 0;
    if (!is_between(web))
        return false;
    for (uint32_t i = 0; i < trailers->field_count; i++)
        len += trailers->fields[i].name.len + trailers->fields[i].value.len + 3;
    char *frame = arena_alloc(web->x->arena, sizeof(web->frame) + len);
    char *at = frame;
    *at++ = (char)TRAILERS_FRAME;
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (char)(len >> shift & 0xff);
    for (uint32_t i = 0; i < trailers->field_count; i++) {
        const struct field *field = &trailers->fields[i];
        memcpy(at, field->name.data, field->name.len);
        at += field->name.len;
        *at++ = ':';
        if (field->value.len > 0)
            memcpy(at, field->value.data, field->value.len);
        at += field->value.len;
        *at++ = '\r';
        *at++ = '\n';
    }
    struct text whole = text_from(frame, (size_t)(at - frame));
    if (web->is_text_out)
        put_text(web, whole);
    else
        buffer_add(&web->out, whole.data, whole.len);
    web->is_ending = true;
    return true;
}
