/* Session persistence of HTTPRoute and GRPCRoute rules (experimental channel, GEP-1619), and of
 * BackendLBPolicy, in the shape that upstream gave it first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_name session_types[] = {
    {"Cookie", KIND_SESSION_COOKIE},
    {"Header", KIND_SESSION_HEADER},
    {NULL, 0},
};

static const struct decode_name lifetimes[] = {
    {"Session", KIND_LIFETIME_SESSION},
    {"Permanent", KIND_LIFETIME_PERMANENT},
    {NULL, 0},
};

static const struct decode_field cookie_fields[] = {
    {"name", DECODE_TEXT, .offset = offsetof(struct kind_session_persistence, cookie_name),
     .format = &format_header_name},
    {"path", DECODE_TEXT, .offset = offsetof(struct kind_session_persistence, cookie_path),
     .otherwise = "/", .format = &format_path},
    {"lifetimeType", DECODE_ENUM, .offset = offsetof(struct kind_session_persistence, lifetime),
     .names = lifetimes, .otherwise = "Session"},
};

static const struct decode_shape cookie_shape = {
    .size = sizeof(struct kind_session_persistence),
    .fields = cookie_fields,
    .count = ARRAY_LEN(cookie_fields),
};

static const struct decode_field header_fields[] = {
    {"name", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_session_persistence, header_name),
     .format = &format_header_name},
};

static const struct decode_shape header_shape = {
    .size = sizeof(struct kind_session_persistence),
    .fields = header_fields,
    .count = ARRAY_LEN(header_fields),
};

static const struct decode_field session_fields[] = {
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_session_persistence, type),
     .second = offsetof(struct kind_session_persistence, type_text), .names = session_types,
     .otherwise = "Cookie"},
    {"absoluteTimeout", DECODE_DURATION,
     .offset = offsetof(struct kind_session_persistence, absolute_timeout)},
    {"cookie", DECODE_SAME, .shape = &cookie_shape},
    {"header", DECODE_SAME, .shape = &header_shape},
};

static void conflict(struct decode *decode, const struct value *at, const char *child,
                     const char *what)
{
    decode_add(decode, &(struct decode_fault){.code = "FieldConflict", .at = at, .child = child},
               "%s", what);
}

/* Fields that frame a message or belong to a connection, or that say more than one thing. */
static bool is_usable_header(struct text name)
{
    static const char *const TAKEN[] = {
        "connection", "content-length", "transfer-encoding", "te",
        "trailer",    "upgrade",        "keep-alive",        "proxy-connection",
        "host",       "cookie",         "set-cookie",        "date",
        "expect",     "http2-settings",
    };
    for (size_t i = 0; i < ARRAY_LEN(TAKEN); i++)
        if (text_equal_nocase(name, text_of(TAKEN[i])))
            return false;
    return true;
}

static void check_header(struct decode *decode, const struct value *map, const char *child,
                         struct text name)
{
    if (!is_usable_header(name))
        decode_add(decode, &(struct decode_fault){.code = "BadValue", .at = map, .child = child},
                   "\"" TEXT_FMT "\" has a meaning of its own and cannot carry a session",
                   TEXT_ARG(name));
}

static void check_session(struct decode *decode, void *out, const struct value *map)
{
    const struct kind_session_persistence *session = out;
    const struct value *cookie = value_get(map, "cookie"), *header = value_get(map, "header");
    if (cookie != NULL && session->type == KIND_SESSION_HEADER)
        conflict(decode, cookie, "cookie", "cookie may be set only when type is Cookie");
    if (header != NULL && session->type == KIND_SESSION_COOKIE)
        conflict(decode, header, "header", "header may be set only when type is Header");
    if (cookie == NULL && session->type == KIND_SESSION_COOKIE)
        conflict(decode, map, "cookie", "cookie is required when type is Cookie");
    if (header == NULL && session->type == KIND_SESSION_HEADER)
        conflict(decode, map, "header", "header is required when type is Header");
    if (session->lifetime == KIND_LIFETIME_PERMANENT && !session->absolute_timeout.is_set)
        conflict(decode, cookie, "absoluteTimeout",
                 "absoluteTimeout is required for a permanent cookie");
    check_header(decode, header, "header.name", session->header_name);
}

const struct decode_shape kind_shape_session = {
    .size = sizeof(struct kind_session_persistence),
    .fields = session_fields,
    .count = ARRAY_LEN(session_fields),
    .check = check_session,
};

static const struct decode_field lb_cookie_fields[] = {
    {"lifetimeType", DECODE_ENUM, .offset = offsetof(struct kind_session_persistence, lifetime),
     .names = lifetimes, .otherwise = "Session"},
};

static const struct decode_shape lb_cookie_shape = {
    .size = sizeof(struct kind_session_persistence),
    .fields = lb_cookie_fields,
    .count = ARRAY_LEN(lb_cookie_fields),
};

static const struct decode_field lb_session_fields[] = {
    {"sessionName", DECODE_TEXT, .offset = offsetof(struct kind_session_persistence, cookie_name),
     .format = &format_header_name},
    {"type", DECODE_ENUM, .offset = offsetof(struct kind_session_persistence, type),
     .second = offsetof(struct kind_session_persistence, type_text), .names = session_types,
     .otherwise = "Cookie"},
    {"absoluteTimeout", DECODE_DURATION,
     .offset = offsetof(struct kind_session_persistence, absolute_timeout)},
    {"idleTimeout", DECODE_DURATION,
     .offset = offsetof(struct kind_session_persistence, idle_timeout)},
    {"cookieConfig", DECODE_SAME, .shape = &lb_cookie_shape},
};

static void check_lb_session(struct decode *decode, void *out, const struct value *map)
{
    struct kind_session_persistence *session = out;
    const struct value *cookie = value_get(map, "cookieConfig");
    session->cookie_path = TEXT("/");
    if (session->type == KIND_SESSION_HEADER) {
        session->header_name = session->cookie_name;
        check_header(decode, map, "sessionName", session->header_name);
    }
    if (cookie != NULL && session->type == KIND_SESSION_HEADER)
        conflict(decode, cookie, "cookieConfig",
                 "cookieConfig may be set only when type is Cookie");
    if (session->lifetime == KIND_LIFETIME_PERMANENT && !session->absolute_timeout.is_set)
        conflict(decode, map, "absoluteTimeout",
                 "absoluteTimeout is required for a permanent cookie");
}

const struct decode_shape kind_shape_lb_session = {
    .size = sizeof(struct kind_session_persistence),
    .fields = lb_session_fields,
    .count = ARRAY_LEN(lb_session_fields),
    .check = check_lb_session,
};
