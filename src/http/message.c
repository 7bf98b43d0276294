/* Heads as data: finding and changing fields, methods, reason phrases. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/message.h"

#include "base/limits.h"

void message_init(struct message *message)
{
    *message = (struct message){.version = 11, .keep_alive = true};
}

void message_copy(struct message *to, const struct message *from, struct arena *arena)
{
    *to = *from;
    struct text *const texts[] = {&to->method_name, &to->scheme, &to->authority, &to->host,
                                  &to->path,        &to->query,  &to->reason,    &to->upgrade};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_text(arena, *texts[i]);
    to->field_cap = from->field_count;
    to->fields = NULL;
    if (from->field_count > 0)
        to->fields = arena_alloc(arena, from->field_count * sizeof(*to->fields));
    for (uint32_t i = 0; i < from->field_count; i++) {
        const struct field *field = &from->fields[i];
        to->fields[i] = (struct field){arena_text(arena, field->name),
                                       arena_text(arena, field->value), field->id};
    }
}

struct field *message_get(const struct message *message, enum name_id id)
{
    for (uint32_t i = 0; i < message->field_count; i++)
        if (message->fields[i].id == id)
            return &message->fields[i];
    return NULL;
}

static bool field_is(const struct field *field, enum name_id id, struct text name)
{
    if (id != NAME_OTHER)
        return field->id == id;
    return field->id == NAME_OTHER && text_equal_nocase(field->name, name);
}

struct field *message_find(const struct message *message, struct text name)
{
    enum name_id id = name_lookup(name);
    for (uint32_t i = 0; i < message->field_count; i++)
        if (field_is(&message->fields[i], id, name))
            return &message->fields[i];
    return NULL;
}

struct text message_value(const struct message *message, enum name_id id)
{
    const struct field *field = message_get(message, id);
    return field == NULL ? TEXT_NONE : field->value;
}

struct text message_bearer(const struct message *message)
{
    struct text value = message_value(message, NAME_AUTHORIZATION);
    bool is_bearer = value.len > 7 && text_equal_nocase(text_slice(value, 0, 7), TEXT("Bearer "));
    return is_bearer ? text_trim(text_slice(value, 7, value.len)) : TEXT_NONE;
}

static bool find_cookie(struct text pairs, struct text name, struct text *ret_value)
{
    struct text pair;
    while (text_split(&pairs, ';', &pair)) {
        pair = text_trim(pair);
        if (pair.len <= name.len || pair.data[name.len] != '=' || !text_starts_with(pair, name))
            continue;
        *ret_value = text_slice(pair, name.len + 1, pair.len);
        return true;
    }
    return false;
}

bool message_cookie(const struct message *message, struct text name, struct text *ret_value)
{
    for (uint32_t i = 0; i < message->field_count; i++)
        if (message->fields[i].id == NAME_COOKIE &&
            find_cookie(message->fields[i].value, name, ret_value))
            return true;
    return false;
}

void message_add_known(struct message *message, struct arena *arena, enum name_id id,
                       struct text name, struct text value)
{
    if (message->field_count == message->field_cap) {
        uint32_t cap = message->field_cap == 0 ? 16 : message->field_cap * 2;
        struct field *fields = arena_alloc(arena, cap * sizeof(*fields));
        if (message->field_count > 0)
            memcpy(fields, message->fields, message->field_count * sizeof(*fields));
        message->fields = fields;
        message->field_cap = cap;
    }
    message->fields[message->field_count++] = (struct field){name, value, id};
}

void message_add(struct message *message, struct arena *arena, struct text name, struct text value)
{
    message_add_known(message, arena, name_lookup(name), name, value);
}

/* Drops the fields of that name from index `from` on; order is kept. */
static void remove_from(struct message *message, uint32_t from, enum name_id id, struct text name)
{
    uint32_t kept = from;
    for (uint32_t i = from; i < message->field_count; i++)
        if (!field_is(&message->fields[i], id, name))
            message->fields[kept++] = message->fields[i];
    message->field_count = kept;
}

void message_set(struct message *message, struct arena *arena, struct text name, struct text value)
{
    struct field *first = message_find(message, name);
    if (first == NULL) {
        message_add(message, arena, name, value);
        return;
    }
    first->value = value;
    remove_from(message, (uint32_t)(first - message->fields) + 1, first->id, name);
}

void message_remove(struct message *message, struct text name)
{
    remove_from(message, 0, name_lookup(name), name);
}

struct text message_reason(int status)
{
    static const struct {
        int status;
        struct text reason;
    } reasons[] = {
#define REASON(status, words)                                                                      \
    {                                                                                              \
        status,                                                                                    \
        {                                                                                          \
            words, sizeof(words) - 1                                                               \
        }                                                                                          \
    }
        REASON(200, "OK"),
        REASON(404, "Not Found"),
        REASON(304, "Not Modified"),
        REASON(302, "Found"),
        REASON(301, "Moved Permanently"),
        REASON(204, "No Content"),
        REASON(201, "Created"),
        REASON(100, "Continue"),
        REASON(101, "Switching Protocols"),
        REASON(102, "Processing"),
        REASON(103, "Early Hints"),
        REASON(202, "Accepted"),
        REASON(203, "Non-Authoritative Information"),
        REASON(205, "Reset Content"),
        REASON(206, "Partial Content"),
        REASON(300, "Multiple Choices"),
        REASON(303, "See Other"),
        REASON(307, "Temporary Redirect"),
        REASON(308, "Permanent Redirect"),
        REASON(400, "Bad Request"),
        REASON(401, "Unauthorized"),
        REASON(402, "Payment Required"),
        REASON(403, "Forbidden"),
        REASON(405, "Method Not Allowed"),
        REASON(406, "Not Acceptable"),
        REASON(407, "Proxy Authentication Required"),
        REASON(408, "Request Timeout"),
        REASON(409, "Conflict"),
        REASON(410, "Gone"),
        REASON(411, "Length Required"),
        REASON(412, "Precondition Failed"),
        REASON(413, "Content Too Large"),
        REASON(414, "URI Too Long"),
        REASON(415, "Unsupported Media Type"),
        REASON(416, "Range Not Satisfiable"),
        REASON(417, "Expectation Failed"),
        REASON(421, "Misdirected Request"),
        REASON(422, "Unprocessable Content"),
        REASON(425, "Too Early"),
        REASON(426, "Upgrade Required"),
        REASON(428, "Precondition Required"),
        REASON(429, "Too Many Requests"),
        REASON(431, "Request Header Fields Too Large"),
        REASON(451, "Unavailable For Legal Reasons"),
        REASON(500, "Internal Server Error"),
        REASON(501, "Not Implemented"),
        REASON(502, "Bad Gateway"),
        REASON(503, "Service Unavailable"),
        REASON(504, "Gateway Timeout"),
        REASON(505, "HTTP Version Not Supported"),
        REASON(511, "Network Authentication Required"),
#undef REASON
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return TEXT("");
}

enum method message_method(struct text name)
{
    static const struct text names[] = {
        [METHOD_GET] = {"GET", 3},         [METHOD_HEAD] = {"HEAD", 4},
        [METHOD_POST] = {"POST", 4},       [METHOD_PUT] = {"PUT", 3},
        [METHOD_DELETE] = {"DELETE", 6},   [METHOD_CONNECT] = {"CONNECT", 7},
        [METHOD_OPTIONS] = {"OPTIONS", 7}, [METHOD_TRACE] = {"TRACE", 5},
        [METHOD_PATCH] = {"PATCH", 5},
    };
    for (enum method method = METHOD_GET; method <= METHOD_PATCH; method++)
        if (names[method].len == name.len && memcmp(names[method].data, name.data, name.len) == 0)
            return method;
    return METHOD_OTHER;
}

bool method_is_idempotent(enum method method)
{
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_OPTIONS:
    case METHOD_TRACE:
        return true;
    default:
        return false;
    }
}
