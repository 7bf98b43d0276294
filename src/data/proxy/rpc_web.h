/* gRPC-Web (PROTOCOL-WEB.md): a call whose client reads no trailers, and with the text form no
 * bytes either. Its request becomes one of gRPC; the trailers become the last frame of the body. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base64.h"
#include "data/exchange/exchange.h"

struct rpc_web {
    struct exchange *x; /* borrows: it is in the arena of the same stream */
    struct text format; /* "+proto", or empty */
    bool is_text_in, is_text_out;
    bool is_bad;                 /* the request's text is not base64 */
    bool is_ending;              /* the trailers are in `out` */
    struct base64_reader reader; /* of the request's text */
    struct buffer in;            /* decoded, and not yet taken by the backend */
    struct buffer out;           /* not yet taken by the client */
    char frame[5];               /* of the response: how a message begins ... */
    uint8_t frame_len;
    uint32_t frame_left; /* ... and what is missing of it */
    char carry[3];       /* of the message: too few for four digits */
    uint8_t carry_len;
};

/* NULL: it is no call of gRPC-Web. Else its type is that of gRPC from now on. */
struct rpc_web *rpc_web_begin(struct exchange *x);
void rpc_web_fini(struct rpc_web *web);

/* The next bytes of the client's text go to `in`, which is empty; how many were used. */
size_t rpc_web_read(struct rpc_web *web, struct text bytes);
/* The request's body is complete: is the text? */
bool rpc_web_is_whole(struct rpc_web *web);

/* What is no answer of gRPC has no frames that a client could read. */
bool rpc_web_is_answer(const struct message *head);
/* x->response gets the type that the client understands. */
void rpc_web_head(struct rpc_web *web, bool end);
/* The next bytes of the response: how many were used; fewer: wait until the client takes more. */
size_t rpc_web_write(struct rpc_web *web, struct text bytes);
/* The last frame. False: a message is not complete, so nothing that follows could be read. */
bool rpc_web_finish(struct rpc_web *web, const struct message *trailers);
/* True: the client has all, once is_ending with the end of the body. */
bool rpc_web_flush(struct rpc_web *web);
