/* Values of sessions: sealed and in hexadecimal digits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/upstream/session.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"

/* As it is sealed: numbers of 8, 8, 4 and 4 bytes, little end first. */
#define VALUE  24
#define SEALED (SEAL_TAG + VALUE)
#define WORDS  (SEALED / 8)

static uint32_t now_s(const struct exchange *x)
{
    return (uint32_t)(loop_wall_ns(x->loop) / 1000000000u);
}

static void put(uint8_t *out, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get(const uint8_t *in, int bytes)
{
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++)
        number |= (uint64_t)in[i] << (8 * i);
    return number;
}

static bool parse(struct text text, uint8_t out[SEALED])
{
    uint64_t word;
    if (text.len != WORDS * 16)
        return false;
    for (size_t i = 0; i < WORDS; i++) {
        if (!text_hex_to_u64(text_slice(text, i * 16, i * 16 + 16), &word))
            return false;
        put(out + 8 * i, word, 8);
    }
    return true;
}

static struct text format(struct arena *arena, const uint8_t in[SEALED])
{
    char *out = arena_alloc(arena, WORDS * 16 + 1);
    for (size_t i = 0; i < WORDS; i++)
        (void)snprintf(out + 16 * i, 17, "%016" PRIx64, get(in + 8 * i, 8));
    return text_from(out, WORDS * 16);
}

/* A clock that another data plane has a little ahead of ours is no fault of the client. */
static bool is_within(uint32_t since_s, uint32_t limit_s, uint32_t at_s)
{
    return limit_s == 0 || at_s < since_s || at_s - since_s < limit_s;
}

static bool find_value(const struct session_config *config, const struct exchange *x,
                       struct text *ret_value)
{
    if (config->cookie.len > 0)
        return message_cookie(x->request, config->cookie, ret_value);
    const struct field *field = message_find(x->request, config->header);
    if (field != NULL)
        *ret_value = field->value;
    return field != NULL;
}

void session_read(struct session *session, const struct session_config *config,
                  const struct exchange *x)
{
    struct text text;
    uint8_t sealed[SEALED], value[SEAL_VALUE_MAX];
    uint32_t at_s = now_s(x);
    *session = (struct session){.config = config};
    if (!find_value(config, x, &text) || !parse(text, sealed) ||
        !seal_open(&config->key, sealed, SEALED, value))
        return;
    session->backend = get(value, 8);
    session->endpoint = get(value + 8, 8);
    session->created_s = (uint32_t)get(value + 16, 4);
    session->used_s = (uint32_t)get(value + 20, 4);
    session->is_known = is_within(session->created_s, config->absolute_s, at_s) &&
                        is_within(session->used_s, config->idle_s, at_s);
}

/* A tenth of the idle time is not worth a new value with each response. */
static bool is_fresh(const struct session *session, uint32_t at_s)
{
    return session->config->idle_s == 0 ||
           is_within(session->used_s, session->config->idle_s / 10 + 1, at_s);
}

static struct text cookie_of(const struct session *session, struct exchange *x, struct text value,
                             uint32_t age_s)
{
    const struct session_config *config = session->config;
    struct text lifetime = TEXT_NONE;
    if (config->is_permanent)
        lifetime = arena_printf(x->arena, "; Max-Age=%u",
                                config->absolute_s - MIN(age_s, config->absolute_s));
    return arena_printf(
        x->arena, TEXT_FMT "=" TEXT_FMT "; Path=" TEXT_FMT TEXT_FMT "; HttpOnly; SameSite=Lax%s",
        TEXT_ARG(config->cookie), TEXT_ARG(value), TEXT_ARG(config->path), TEXT_ARG(lifetime),
        text_is(x->request->scheme, "https") ? "; Secure" : "");
}

void session_write(const struct session *session, struct exchange *x, struct message *response,
                   struct text backend, struct text endpoint)
{
    const struct session_config *config = session->config;
    uint8_t value[VALUE], sealed[SEALED];
    uint64_t backend_id = hash_stable(backend), endpoint_id = hash_stable(endpoint);
    uint32_t at_s = now_s(x);
    bool is_same =
        session->is_known && session->backend == backend_id && session->endpoint == endpoint_id;
    if (is_same && is_fresh(session, at_s))
        return;
    uint32_t created_s = is_same ? session->created_s : at_s;
    put(value, backend_id, 8);
    put(value + 8, endpoint_id, 8);
    put(value + 16, created_s, 4);
    put(value + 20, at_s, 4);
    seal_close(&config->key, value, VALUE, sealed);
    struct text text = format(x->arena, sealed);
    if (config->cookie.len > 0)
        message_add(response, x->arena, TEXT("set-cookie"),
                    cookie_of(session, x, text, at_s - MIN(created_s, at_s)));
    else
        message_set(response, x->arena, config->header, text);
}
