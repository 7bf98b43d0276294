/* The strict reader of HTTP/1 heads and trailers: one pass, resumable at every byte, nothing
 * copied. It knows lines and bytes; what fields mean is h1_head.c's. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "base/text.h"
#include "http/names.h"

/* A field line: places in the head's bytes, since those may move while more is read. */
struct h1_line {
    uint32_t name_at, value_at, value_len;
    uint16_t name_len;
    uint8_t id;         /* enum name_id */
    uint8_t underscore; /* a '_' stands in the name */
};

enum h1_parse_mode { H1_REQUEST, H1_RESPONSE, H1_TRAILERS };

struct h1_parser {
    uint8_t mode, state;
    uint8_t empty_lines;
    uint8_t version;    /* 10 or 11 */
    uint8_t underscore; /* of the name being read */
    uint16_t status;    /* of a response */
    uint32_t at;        /* first byte not read yet; the head's length when done */
    uint32_t start;     /* where the start line begins */
    uint32_t fields;    /* where the fields begin */
    uint32_t method_len;
    uint32_t target_at, target_len;
    uint32_t reason_at, reason_len;
    uint32_t name_at, name_len, value_at; /* of the line being read */
    uint32_t count;
    bool is_alien;   /* three words, but neither the target nor the version look like HTTP's */
    int refuse;      /* the status to refuse with (requests) */
    const char *why; /* a static word */
    struct h1_line lines[LIMIT_HEADER_COUNT];
};

void h1_parse_init(struct h1_parser *parser, enum h1_parse_mode mode);
/* `data` holds the head from its first byte on, as much as has come. ERR_AGAIN: more is needed.
 * ERR_NONE: done, `at` is its length. ERR_PROTOCOL, ERR_LIMIT: refuse and why are set. */
MUST_USE enum err h1_parse(struct h1_parser *parser, const char *data, size_t len);
bool h1_parse_is_token(struct text text);
/* Has a byte of the head come that is not an empty line in front of it? */
bool h1_parse_has_begun(const struct h1_parser *parser);
