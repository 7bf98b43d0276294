/* What a parsed head means: framing, connection, host, upgrade; into a struct message. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "http/h1_parse.h"
#include "http/message.h"

struct h1_head_options {
    bool merge_slashes;
    bool tls;           /* the connection's scheme */
    enum method method; /* responses: of the request */
    bool wants_upgrade; /* responses: the request asked for one */
    struct text upgrade;
};

/* `bytes` is the head (parser->at bytes) in memory that lives as long as the message. ERR_NONE, or
 * parser->refuse (requests) and parser->why say what is wrong. */
MUST_USE enum err h1_head_request(struct h1_parser *parser, const char *bytes, struct arena *arena,
                                  const struct h1_head_options *options, struct message *ret_head);
/* framing is of the body that follows on the connection. For HEAD and 304 it is what the fields
 * say, and no body follows (h1_head_has_body). */
MUST_USE enum err h1_head_response(struct h1_parser *parser, const char *bytes, struct arena *arena,
                                   const struct h1_head_options *options, struct message *ret_head);
bool h1_head_has_body(const struct message *response, enum method method);
/* The trailer fields that may be taken over; the others are dropped without a word. */
void h1_head_trailers(const struct h1_parser *parser, const char *bytes, struct arena *arena,
                      struct message *ret_trailers);
