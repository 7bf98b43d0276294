/* Session persistence of rules and of policies on Services: one message for both. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "control/translate/route.h"
#include "control/translate/service_policy.h"
#include "control/translate/terms/hostname.h"

static ProtobufCBinaryData key_of(struct translation *t, struct text scope)
{
    uint8_t *key = arena_zalloc(&t->scratch, 32);
    if (t->options->session_key != NULL) {
        t->options->session_key(t->options->session_owner, scope, key);
    } else {
        struct digest digest = hash_digest(scope);
        memcpy(key, &digest, sizeof(digest));
    }
    return (ProtobufCBinaryData){32, key};
}

/* Up: a timeout below a second is not none. */
static uint32_t seconds(const struct kind_duration *duration)
{
    int64_t whole = (MAX(duration->ms, 0) + 999) / 1000;
    return (uint32_t)MIN(whole, (int64_t)UINT32_MAX);
}

Nantian__Config__V1__Session *session_message(struct translation *t,
                                              const struct kind_session_persistence *from,
                                              struct text scope)
{
    struct arena *arena = &t->scratch;
    Nantian__Config__V1__Session *session = arena_new(arena, Nantian__Config__V1__Session);
    nantian__config__v1__session__init(session);
    bool is_header = from->type == KIND_SESSION_HEADER;
    struct text name = is_header ? hostname_lower(arena, from->header_name) : from->cookie_name;
    /* Sessions of different rules at one host must not overwrite each other. */
    if (name.len == 0)
        name = arena_printf(arena, "nantian-session-%08x", (unsigned)hash_stable(scope));
    if (is_header) {
        session->header = arena_string(arena, name);
    } else {
        session->cookie = arena_string(arena, name);
        session->path = arena_string(arena, from->cookie_path);
        session->permanent = from->lifetime == KIND_LIFETIME_PERMANENT;
    }
    session->absolute_timeout_s = seconds(&from->absolute_timeout);
    session->idle_timeout_s = seconds(&from->idle_timeout);
    session->key = key_of(t, scope);
    return session;
}
