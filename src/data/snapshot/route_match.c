/* Method, header fields and query parameters of one match: see route_match.h. Several fields of one
 * name count as one, joined by commas (RFC 9110 5.3); of a repeated query parameter the first
 * counts; names and values of the query are compared after percent-decoding, '+' stays '+'. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/route_match.h"

#include <stdlib.h>

#include "base/builder.h"
#include "base/memory.h"
#include "base/regex.h"

static bool field_named(const struct field *field, const struct field_match *want)
{
    if (want->id != NAME_OTHER)
        return field->id == want->id;
    return field->id == NAME_OTHER && text_equal_nocase(field->name, want->name);
}

static bool value_fits(const struct field_match *want, struct text value)
{
    return want->regex == NULL ? text_equal(want->value, value) : regex_matches(want->regex, value);
}

static bool joined_fits(const struct field_match *want, const struct message *request,
                        uint32_t first)
{
    struct builder joined = {0};
    builder_add(&joined, request->fields[first].value);
    for (uint32_t i = first + 1; i < request->field_count; i++) {
        if (field_named(&request->fields[i], want)) {
            builder_add_char(&joined, ',');
            builder_add(&joined, request->fields[i].value);
        }
    }
    bool fits = value_fits(want, builder_text(&joined));
    builder_fini(&joined);
    return fits;
}

static bool header_fits(const struct field_match *want, const struct message *request,
                        bool *ret_absent)
{
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (!field_named(&request->fields[i], want))
            continue;
        if (first != UINT32_MAX)
            return joined_fits(want, request, first);
        first = i;
    }
    if (first != UINT32_MAX)
        return value_fits(want, request->fields[first].value);
    /* The Host field became a member of the message. */
    if (want->id == NAME_HOST && request->authority.len > 0)
        return value_fits(want, request->authority);
    *ret_absent = true;
    return false;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        return (byte | 0x20) - 'a' + 10;
    return -1;
}

/* The byte at `*at`, decoded; a broken escape stands for itself. */
static char decoded_byte(struct text text, size_t *at)
{
    char byte = text.data[(*at)++];
    if (byte != '%' || *at + 2 > text.len)
        return byte;
    int high = hex_digit(text.data[*at]), low = hex_digit(text.data[*at + 1]);
    if (high < 0 || low < 0)
        return byte;
    *at += 2;
    return (char)(high * 16 + low);
}

static bool decodes_to(struct text encoded, struct text plain)
{
    size_t from = 0, to = 0;
    while (from < encoded.len && to < plain.len) {
        if (decoded_byte(encoded, &from) != plain.data[to++])
            return false;
    }
    return from == encoded.len && to == plain.len;
}

static bool query_value_fits(const struct field_match *want, struct text encoded)
{
    if (want->regex == NULL)
        return decodes_to(encoded, want->value);
    char *plain = memory_alloc(encoded.len + 1);
    size_t len = 0;
    for (size_t at = 0; at < encoded.len;)
        plain[len++] = decoded_byte(encoded, &at);
    bool fits = regex_matches(want->regex, text_from(plain, len));
    free(plain);
    return fits;
}

static bool query_fits(const struct field_match *want, struct text query, bool *ret_absent)
{
    struct text part;
    while (text_split(&query, '&', &part)) {
        size_t equals = text_find(part, '=', 0);
        if (decodes_to(text_slice(part, 0, equals), want->name))
            return query_value_fits(want, text_slice(part, equals + 1, part.len));
    }
    *ret_absent = true;
    return false;
}

bool route_match_request(const struct route_match *match, const struct message *request,
                         struct route_match_loss *ret_loss)
{
    if (match->method.len > 0 && !text_equal(match->method, request->method_name)) {
        *ret_loss = (struct route_match_loss){"method is not", match->method};
        return false;
    }
    bool absent = false;
    for (uint32_t i = 0; i < match->header_count; i++) {
        if (!header_fits(&match->headers[i], request, &absent)) {
            *ret_loss = (struct route_match_loss){absent ? "header absent:" : "header differs:",
                                                  match->headers[i].name};
            return false;
        }
    }
    for (uint32_t i = 0; i < match->query_count; i++) {
        if (!query_fits(&match->query[i], request->query, &absent)) {
            *ret_loss = (struct route_match_loss){absent ? "query parameter absent:"
                                                         : "query parameter differs:",
                                                  match->query[i].name};
            return false;
        }
    }
    return true;
}
