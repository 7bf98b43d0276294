/* HTTP/2 field lists into messages and back (RFC 9113 8): every rule about names, values, pseudo
 * fields and lengths is here. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "http/h2_session.h"
#include "http/message.h"

enum h2_kind { H2_REQUEST, H2_RESPONSE, H2_TRAILERS };

/* A head that is being read. */
struct h2_head {
    enum h2_kind kind;
    uint32_t bytes, count;
    bool regular_seen;
    bool has_method, has_scheme, has_path, has_authority, has_status, has_host, has_length;
    bool has_protocol; /* extended CONNECT, RFC 8441 */
    struct text method, scheme, path, authority, status, host, protocol;
    uint32_t cookies;   /* crumbs, joined at the end (RFC 9113 8.2.3) */
    int refuse;         /* a status to answer with instead; 0: none */
    bool is_large;      /* malformed, but no request: over the limits, and no worse than that */
    const char *reason; /* static word, when it was refused or malformed */
};

void h2_message_begin(struct h2_head *head, struct message *message, enum h2_kind kind);
/* Copies into the arena. False: malformed, or so far over the limits that no answer is due. */
MUST_USE bool h2_message_field(struct h2_head *head, struct message *message, struct arena *arena,
                               struct text name, struct text value);
struct h2_facts {
    bool tls, merge_slashes;
    bool end;           /* END_STREAM came with the head */
    bool any_authority; /* as in struct http_settings */
};
/* False: malformed. head->refuse may be set though true is returned. */
MUST_USE bool h2_message_end(struct h2_head *head, struct message *message, struct arena *arena,
                             const struct h2_facts *facts);

/* The field list of a message, names in lower case; array and text are in the arena. */
struct h2_field *h2_message_fields(const struct message *message, enum h2_kind kind, bool tls,
                                   struct arena *arena, size_t *ret_count);
