/* Cross-origin requests (the Fetch standard's CORS protocol): answers preflights, and says in every
 * response what the rule allows. What the backend says about it does not count. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/filters.h"
#include "http/h1_parse.h"
#include "nantian/config/v1/filter.pb-c.h"

struct origin {
    struct text scheme;
    struct text host; /* behind "*" of a wildcard: ".bar.com", or empty for every host */
    struct text port; /* empty: the scheme's own */
    bool is_wildcard;
};

/* A list as it is sent; `any`: it is "*". */
struct allowance {
    struct text joined; /* empty: nothing is said */
    bool any;
};

struct cors {
    struct origin *origins;
    uint32_t origin_count;
    bool any_origin, credentials;
    struct allowance methods, headers, expose;
    struct text max_age; /* empty: not sent */
};

struct cors_state {
    struct text allowed; /* what allow-origin says; empty: nothing is allowed */
};

/* -- origins -- */

/* scheme "://" host [":" port]; a port that the scheme has anyway does not count. */
static bool parse_origin(struct text text, struct origin *ret_origin)
{
    size_t colon = text_find(text, ':', 0);
    if (colon == 0 || !text_starts_with(text_slice(text, colon, text.len), TEXT("://")))
        return false;
    struct text rest = text_slice(text, colon + 3, text.len);
    size_t from = rest.len > 0 && rest.data[0] == '[' ? text_find(rest, ']', 0) : 0;
    size_t at = text_find(rest, ':', from);
    struct origin origin = {
        .scheme = text_slice(text, 0, colon),
        .host = text_slice(rest, 0, at),
        .port = text_slice(rest, at + 1, rest.len),
    };
    if (origin.host.len == 0 || text_find(rest, '/', 0) < rest.len)
        return false;
    if ((text_is(origin.port, "80") && text_equal_nocase(origin.scheme, TEXT("http"))) ||
        (text_is(origin.port, "443") && text_equal_nocase(origin.scheme, TEXT("https"))))
        origin.port = TEXT_NONE;
    *ret_origin = origin;
    return true;
}

static bool host_matches(const struct origin *rule, struct text host)
{
    if (!rule->is_wildcard)
        return text_equal_nocase(host, rule->host);
    return host.len > rule->host.len &&
           text_equal_nocase(text_slice(host, host.len - rule->host.len, host.len), rule->host);
}

static bool is_allowed(const struct cors *cors, struct text text)
{
    struct origin origin;
    if (cors->any_origin)
        return true;
    if (!parse_origin(text, &origin)) /* "null" too */
        return false;
    for (uint32_t i = 0; i < cors->origin_count; i++) {
        const struct origin *rule = &cors->origins[i];
        if (text_equal_nocase(origin.scheme, rule->scheme) && text_equal(origin.port, rule->port) &&
            host_matches(rule, origin.host))
            return true;
    }
    return false;
}

/* -- compile -- */

static enum err refuse(struct fault *fault, const char *field, const char *what)
{
    fault->field = text_of(field);
    fault->what = text_of(what);
    return ERR_INVALID;
}

static bool take_list(char *const *items, size_t count, struct arena *arena,
                      struct allowance *ret_allowance)
{
    struct allowance allowance = {0};
    for (size_t i = 0; i < count; i++) {
        struct text item = text_of(items[i]);
        if (!h1_parse_is_token(item))
            return false;
        allowance.any = allowance.any || text_is(item, "*");
        allowance.joined = i == 0 ? arena_text(arena, item)
                                  : arena_printf(arena, TEXT_FMT ", " TEXT_FMT,
                                                 TEXT_ARG(allowance.joined), TEXT_ARG(item));
    }
    *ret_allowance = allowance;
    return true;
}

static bool take_origin(struct cors *cors, struct text text, struct arena *arena)
{
    if (text_is(text, "*")) {
        cors->any_origin = true;
        return true;
    }
    struct origin *origin = &cors->origins[cors->origin_count];
    if (!parse_origin(arena_text(arena, text), origin))
        return false;
    if (origin->host.data[0] == '*') {
        origin->is_wildcard = true;
        origin->host = text_slice(origin->host, 1, origin->host.len);
    }
    if (text_find(origin->host, '*', 0) < origin->host.len)
        return false;
    cors->origin_count++;
    return true;
}

static enum err compile(const void *opaque, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__Cors *message = opaque;
    struct cors *cors = arena_new(arena, struct cors);
    cors->origins = arena_array(arena, struct origin, message->n_allow_origins + 1);
    for (size_t i = 0; i < message->n_allow_origins; i++)
        if (!take_origin(cors, text_of(message->allow_origins[i]), arena))
            return refuse(fault, "allow_origins",
                          "is not \"*\" or like https://*.example.com:8443");
    if (!take_list(message->allow_methods, message->n_allow_methods, arena, &cors->methods))
        return refuse(fault, "allow_methods", "is not a method");
    if (!take_list(message->allow_headers, message->n_allow_headers, arena, &cors->headers))
        return refuse(fault, "allow_headers", "is not a header name");
    if (!take_list(message->expose_headers, message->n_expose_headers, arena, &cors->expose))
        return refuse(fault, "expose_headers", "is not a header name");
    cors->credentials = message->allow_credentials;
    if (message->max_age_s > 0)
        cors->max_age = arena_printf(arena, "%u", message->max_age_s);
    *ret_config = cors;
    return ERR_NONE;
}

/* -- requests -- */

/* Of a list that is "*", with credentials "*" would be a mere name: what was asked is repeated. */
static void allow(struct exchange *x, const struct cors *cors, const char *name,
                  const struct allowance *allowance, enum name_id asked)
{
    struct text value = allowance->joined;
    if (allowance->any && cors->credentials)
        value = message_value(x->request, asked);
    else if (allowance->any)
        value = TEXT("*");
    if (value.len > 0)
        message_add(x->response, x->arena, text_of(name), value);
}

static enum filter_verdict answer_preflight(struct exchange *x, const struct cors *cors,
                                            const struct cors_state *state)
{
    exchange_respond(x, 204, FLAG_NONE, "cors_preflight");
    x->response->framing = FRAMING_NONE;
    if (state->allowed.len == 0)
        return FILTER_RESPOND;
    allow(x, cors, "access-control-allow-methods", &cors->methods,
          NAME_ACCESS_CONTROL_REQUEST_METHOD);
    allow(x, cors, "access-control-allow-headers", &cors->headers,
          NAME_ACCESS_CONTROL_REQUEST_HEADERS);
    if (cors->max_age.len > 0)
        message_add(x->response, x->arena, TEXT("access-control-max-age"), cors->max_age);
    return FILTER_RESPOND;
}

static enum filter_verdict on_request(struct exchange *x, const void *config, void *opaque)
{
    const struct cors *cors = config;
    struct cors_state *state = opaque;
    struct text origin = message_value(x->request, NAME_ORIGIN);
    if (origin.len == 0)
        return FILTER_NEXT;
    if (is_allowed(cors, origin))
        state->allowed = cors->any_origin && !cors->credentials ? TEXT("*") : origin;
    if (x->request->method != METHOD_OPTIONS ||
        message_get(x->request, NAME_ACCESS_CONTROL_REQUEST_METHOD) == NULL)
        return FILTER_NEXT;
    return answer_preflight(x, cors, state);
}

/* -- responses -- */

static bool is_preflight_answer(const struct exchange *x)
{
    return x->response == &x->local_response && x->details != NULL &&
           strcmp(x->details, "cors_preflight") == 0;
}

static bool is_ours(struct text name)
{
    static const char PREFIX[] = "access-control-";
    return text_equal_nocase(text_slice(name, 0, sizeof(PREFIX) - 1), TEXT("access-control-"));
}

static void drop_others_words(struct message *response)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < response->field_count; i++)
        if (!is_ours(response->fields[i].name))
            response->fields[kept++] = response->fields[i];
    response->field_count = kept;
}

/* "*" with credentials would be a mere name: every field is named. */
static struct text names_of(struct exchange *x)
{
    const struct message *response = x->response;
    size_t room = 0, len = 0;
    for (uint32_t i = 0; i < response->field_count; i++)
        room += response->fields[i].name.len + 2;
    char *names = arena_alloc(x->arena, room + 1);
    for (uint32_t i = 0; i < response->field_count; i++) {
        struct text name = response->fields[i].name;
        if (response->fields[i].id == NAME_SET_COOKIE || is_ours(name))
            continue;
        if (len > 0)
            memcpy(names + len, ", ", 2);
        len += len > 0 ? 2 : 0;
        memcpy(names + len, name.data, name.len);
        len += name.len;
    }
    return text_from(names, len);
}

static enum filter_verdict on_response(struct exchange *x, const void *config, void *opaque)
{
    const struct cors *cors = config;
    const struct cors_state *state = opaque;
    struct message *response = x->response;
    bool is_preflight = is_preflight_answer(x);
    if (!is_preflight)
        drop_others_words(response);
    if (!cors->any_origin || cors->credentials) /* the answer differs by origin: tell caches */
        message_add(response, x->arena, TEXT("vary"),
                    is_preflight ? TEXT("Origin, Access-Control-Request-Method, "
                                        "Access-Control-Request-Headers")
                                 : TEXT("Origin"));
    if (state->allowed.len == 0)
        return FILTER_NEXT;
    struct text exposed = cors->expose.joined;
    if (cors->expose.any)
        exposed = !cors->credentials ? TEXT("*") : is_preflight ? TEXT_NONE : names_of(x);
    message_add(response, x->arena, TEXT("access-control-allow-origin"), state->allowed);
    if (cors->credentials)
        message_add(response, x->arena, TEXT("access-control-allow-credentials"), TEXT("true"));
    if (exposed.len > 0)
        message_add(response, x->arena, TEXT("access-control-expose-headers"), exposed);
    return FILTER_NEXT;
}

const struct filter_type filter_cors = {
    .name = "cors",
    .state_size = sizeof(struct cors_state),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
