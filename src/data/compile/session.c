/* Session persistence of rules and backends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/snapshot/session.h"

#include "data/compile/part.h"
#include "http/names.h"

static void refuse(struct change *change, const struct part *part, const char *field,
                   const char *what)
{
    struct fault fault = part_fault(change, part, "InvalidSession", text_of(field));
    faults_add(change->faults, &fault, "%s", what);
}

static bool is_token(struct text name)
{
    static const char OTHERS[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 5.6.2 */
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.data[i], low = (char)(byte | 0x20);
        bool is_word = (low >= 'a' && low <= 'z') || (byte >= '0' && byte <= '9');
        if (!is_word && (byte == '\0' || strchr(OTHERS, byte) == NULL))
            return false;
    }
    return name.len > 0;
}

static bool is_path(struct text path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.data[i] <= ' ' || path.data[i] >= 0x7f || path.data[i] == ';')
            return false;
    return path.len > 0 && path.data[0] == '/';
}

const struct session_config *compile_session(struct change *change, const struct part *part,
                                             const Nantian__Config__V1__Session *message,
                                             struct arena *arena)
{
    if (message == NULL)
        return NULL;
    struct text cookie = text_of(message->cookie), header = text_of(message->header);
    if ((cookie.len == 0) == (header.len == 0))
        refuse(change, part, "session", "wants either a cookie or a header");
    else if (!is_token(cookie.len > 0 ? cookie : header))
        refuse(change, part, cookie.len > 0 ? "session.cookie" : "session.header", "is no name");
    if (header.len > 0 && name_lookup(header) != NAME_OTHER)
        refuse(change, part, "session.header", "names a field that has a meaning of its own");
    if (cookie.len > 0 && !is_path(text_of(message->path)))
        refuse(change, part, "session.path", "is no path");
    if (message->permanent && message->absolute_timeout_s == 0)
        refuse(change, part, "session.absolute_timeout_s", "is 0 for a permanent cookie");
    if (message->key.len != SEAL_KEY) {
        refuse(change, part, "session.key", "is not of 32 bytes");
        return NULL;
    }
    struct session_config *session = arena_new(arena, struct session_config);
    *session = (struct session_config){
        .cookie = arena_text(arena, cookie),
        .header = arena_text(arena, header),
        .path = arena_text(arena, text_of(message->path)),
        .absolute_s = message->absolute_timeout_s,
        .idle_s = message->idle_timeout_s,
        .is_permanent = message->permanent,
    };
    seal_key_init(&session->key, message->key.data);
    return session;
}
