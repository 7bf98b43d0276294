/* A rate of requests, for the rule, for each client address, or for each value of a header field;
 * counted once for all workers of this data plane. Refusals are 429 with Retry-After; every
 * response carries RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "base/shared_counter.h"
#include "data/filter/filters.h"
#include "nantian/config/v1/filter.pb-c.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

struct rate_limit {
    struct shared_rate rate;
    Nantian__Config__V1__RateLimit__Key key;
    struct text header;
    struct text quoted;             /* the policy's name as a structured string */
    struct text policy;             /* the whole RateLimit-Policy value */
    struct shared_counter *counter; /* shares */
};

struct state {
    bool taken;
    struct shared_verdict verdict;
};

static enum err refuse(struct fault *fault, struct text field, struct text what)
{
    fault->field = field;
    fault->what = what;
    return ERR_INVALID;
}

/* RFC 9651 3.3.3: printable ASCII, quote and backslash escaped. */
static struct text quote(struct text name, struct arena *arena)
{
    char *out = arena_alloc(arena, name.len * 2 + 2);
    size_t len = 0;
    out[len++] = '"';
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.data[i];
        if (byte == '"' || byte == '\\')
            out[len++] = '\\';
        out[len++] = (char)(byte < 0x20 || byte > 0x7e ? '_' : byte);
    }
    out[len++] = '"';
    return text_from(out, len);
}

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__RateLimit *from = message;
    if (from->requests == 0)
        return refuse(fault, TEXT("requests"), TEXT("is 0: nothing would pass"));
    if (from->window_ms == 0)
        return refuse(fault, TEXT("window_ms"), TEXT("is 0"));
    bool by_header = from->key == NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__HEADER;
    if (by_header && from->header[0] == '\0')
        return refuse(fault, TEXT("header"), TEXT("is empty, though it is the key"));
    if ((unsigned)from->key > NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__HEADER)
        return refuse(fault, TEXT("key"), TEXT("is of a kind that this proxy does not know"));
    struct rate_limit *config = arena_new(arena, struct rate_limit);
    config->rate = (struct shared_rate){
        .requests = from->requests,
        .window_ns = from->window_ms * NS_PER_MS,
        .burst = from->burst == 0 ? from->requests : from->burst,
    };
    config->key = from->key;
    config->header = arena_text(arena, text_of(from->header));
    config->quoted = quote(from->name[0] == '\0' ? TEXT("default") : text_of(from->name), arena);
    config->policy =
        arena_printf(arena, TEXT_FMT ";q=%u", TEXT_ARG(config->quoted), from->requests);
    if (from->window_ms % 1000 == 0) /* the window is told in whole seconds or not at all */
        config->policy =
            arena_printf(arena, TEXT_FMT ";w=%u", TEXT_ARG(config->policy), from->window_ms / 1000);
    config->counter =
        shared_counter_new(&config->rate, from->key != NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__ROUTE);
    *ret_config = config;
    return ERR_NONE;
}

/* What was used up stays used up when something else of the rule changes. */
static void adopt(void *opaque, const void *previous)
{
    struct rate_limit *config = opaque;
    const struct rate_limit *before = previous;
    if (config->rate.requests != before->rate.requests ||
        config->rate.window_ns != before->rate.window_ns ||
        config->rate.burst != before->rate.burst || config->key != before->key ||
        !text_equal_nocase(config->header, before->header))
        return;
    shared_counter_unref(config->counter);
    config->counter = shared_counter_ref(before->counter);
}

static void release(void *opaque)
{
    struct rate_limit *config = opaque;
    shared_counter_unref(config->counter);
}

static uint64_t key_of(const struct rate_limit *config, const struct exchange *x)
{
    switch (config->key) {
    case NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__CLIENT_ADDRESS:
        return hash_text(address_client(&x->peer));
    case NANTIAN__CONFIG__V1__RATE_LIMIT__KEY__HEADER: {
        const struct field *field = message_find(x->request, config->header);
        return field == NULL ? 0 : hash_text(field->value); /* none: one key for all of those */
    }
    default:
        return 0;
    }
}

static uint64_t seconds_up(uint64_t ns)
{
    return (ns + NS_PER_S - 1) / NS_PER_S;
}

static enum filter_verdict on_request(struct exchange *x, const void *opaque, void *opaque_state)
{
    const struct rate_limit *config = opaque;
    struct state *state = opaque_state;
    x->is_rate_checked = true;
    state->verdict = shared_counter_take(config->counter, key_of(config, x), loop_now_ns(x->loop));
    state->taken = true;
    if (state->verdict.allowed)
        return FILTER_NEXT;
    exchange_respond(x, 429, FLAG_RL, "rate_limited");
    exchange_respond_body(x, TEXT("text/plain"), TEXT("rate limit exceeded\n"));
    uint64_t retry_s = seconds_up(state->verdict.retry_ns);
    message_set(x->response, x->arena, TEXT("retry-after"),
                arena_printf(x->arena, "%llu", (unsigned long long)MAX(retry_s, UINT64_C(1))));
    return FILTER_RESPOND;
}

static enum filter_verdict on_response(struct exchange *x, const void *opaque, void *opaque_state)
{
    const struct rate_limit *config = opaque;
    const struct state *state = opaque_state;
    if (!state->taken)
        return FILTER_NEXT;
    message_add(x->response, x->arena, TEXT("ratelimit-policy"), config->policy);
    message_add(x->response, x->arena, TEXT("ratelimit"),
                arena_printf(x->arena, TEXT_FMT ";r=%llu;t=%llu", TEXT_ARG(config->quoted),
                             (unsigned long long)state->verdict.remaining,
                             (unsigned long long)seconds_up(state->verdict.full_ns)));
    return FILTER_NEXT;
}

const struct filter_type filter_rate_limit = {
    .name = "rate_limit",
    .state_size = sizeof(struct state),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .adopt = adopt,
    .release = release,
};
