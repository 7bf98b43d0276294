/* A request's or a response's head: the same for HTTP/1, HTTP/2 and HTTP/3. All text is views into
 * the connection's buffer or the exchange's arena; whoever keeps it longer copies it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/text.h"
#include "http/names.h"

struct field {
    struct text name; /* as received (HTTP/2: lower case); never empty */
    struct text value;
    enum name_id id; /* NAME_OTHER: compare the text, without regard to case */
};

enum framing {
    FRAMING_NONE,    /* no body */
    FRAMING_LENGTH,  /* content_length bytes */
    FRAMING_CHUNKED, /* until its own end: chunked in HTTP/1, END_STREAM in HTTP/2 */
    FRAMING_CLOSE,   /* a response until the connection ends */
    FRAMING_TUNNEL,  /* after 101 or CONNECT: bytes both ways */
};

enum method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
};

struct message {
    /* request */
    enum method method;
    struct text method_name;
    struct text scheme;    /* "http" or "https": of the connection */
    struct text authority; /* lower case, with port if one was sent; checked */
    struct text host;      /* authority without the port */
    struct text path;      /* normalised: what is routed, logged and sent; starts with '/' or "*" */
    struct text query;     /* behind '?', without it; has_query tells "/a?" from "/a" */
    bool has_query;
    /* response */
    int status;
    struct text reason;
    /* both */
    uint8_t version; /* 10, 11, 20 */
    enum framing framing;
    uint64_t content_length;
    bool keep_alive;      /* the peer allows another message on this connection */
    bool expect_continue; /* Expect: 100-continue */
    bool wants_upgrade;   /* Connection: upgrade, with an Upgrade field other than h2c */
    struct text upgrade;  /* the protocol asked for or agreed */
    /* Framing, Connection and hop-by-hop fields are not here: they became the members above. */
    struct field *fields; /* in the arena */
    uint32_t field_count, field_cap;
};

void message_init(struct message *message);
/* A copy with text and fields of its own in `arena`. */
void message_copy(struct message *to, const struct message *from, struct arena *arena);
/* First field of that name, or NULL. Unknown names with message_find. */
struct field *message_get(const struct message *message, enum name_id id);
struct field *message_find(const struct message *message, struct text name);
/* The value of the first, or an empty text. */
struct text message_value(const struct message *message, enum name_id id);
/* The token of "Authorization: Bearer ..." (RFC 6750 2.1), or an empty text. */
struct text message_bearer(const struct message *message);
/* The value of a cookie of the request (RFC 6265 5.4), the first of that name. */
MUST_USE bool message_cookie(const struct message *message, struct text name,
                             struct text *ret_value);
/* Appends; text must live as long as the message (arena it first). */
void message_add(struct message *message, struct arena *arena, struct text name, struct text value);
/* The same, when the number of the name is known. */
void message_add_known(struct message *message, struct arena *arena, enum name_id id,
                       struct text name, struct text value);
/* Replaces the first of that name, drops the others; appends if there is none. */
void message_set(struct message *message, struct arena *arena, struct text name, struct text value);
void message_remove(struct message *message, struct text name);
/* Standard reason phrase, "" if unknown. */
struct text message_reason(int status);
enum method message_method(struct text name);
bool method_is_idempotent(enum method method); /* RFC 9110 9.2.2 */
