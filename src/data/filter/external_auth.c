/* Asks a service whether a request may pass (Gateway API HTTPExternalAuthFilter, GEP-1494): over
 * HTTP with the request's own line, or over gRPC with its attributes. The request waits meanwhile;
 * no answer, or one that cannot be understood, is a refusal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "data/filter/auth_check.h"
#include "data/filter/filters.h"
#include "data/filter/header_edit.h"
#include "http/url.h"
#include "nantian/config/v1/filter.pb-c.h"

struct names {
    struct text *items;
    uint32_t count;
};

struct external_auth {
    struct backend_name backend;
    bool is_grpc;
    struct text authority;   /* of gRPC calls */
    struct text path_prefix; /* without the last '/' */
    struct names to_service, from_service;
    size_t body_max; /* 0: the service gets no body */
};

struct state {
    bool has_asked;
    struct message request;
    struct inquiry inquiry;
    const Envoy__Service__Auth__V3__OkHttpResponse
        *granted; /* NULL: adds nothing to the response */
};

/* -- configuration -- */

static enum err refuse(struct fault *fault, struct text field, const char *what)
{
    fault->field = field;
    fault->what = text_of(what);
    return ERR_INVALID;
}

static enum err take_names(char *const *from, size_t count, struct arena *arena, const char *list,
                           struct names *ret, struct fault *fault)
{
    ret->items = count == 0 ? NULL : arena_array(arena, struct text, count);
    for (size_t i = 0; i < count; i++) {
        if (!header_edit_may(text_of(from[i]), TEXT("")) &&
            name_lookup(text_of(from[i])) != NAME_HOST)
            return refuse(fault, arena_printf(arena, "%s[%zu]", list, i),
                          "is not the name of a field that may be copied");
        ret->items[ret->count++] = arena_text(arena, text_of(from[i]));
    }
    return ERR_NONE;
}

/* "<service>.<namespace>:<port>", from the resource's name. */
static struct text authority_of(struct arena *arena, struct text resource)
{
    size_t slash = text_find(resource, '/', 0);
    size_t colon = text_find(resource, ':', slash);
    struct text port = text_slice(resource, colon, text_find(resource, ';', colon));
    return arena_printf(arena, TEXT_FMT "." TEXT_FMT TEXT_FMT,
                        TEXT_ARG(text_slice(resource, slash + 1, colon)),
                        TEXT_ARG(text_slice(resource, 0, slash)), TEXT_ARG(port));
}

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__ExternalAuth *from = message;
    struct external_auth *config = arena_new(arena, struct external_auth);
    struct text prefix = text_of(from->path_prefix);
    const char *why = "";
    if (prefix.len > 0 && !url_normalise(arena, prefix, true, &config->path_prefix, &why))
        return refuse(fault, TEXT("path_prefix"), "is not a path");
    config->path_prefix = arena_text(arena, config->path_prefix);
    if (text_ends_with(config->path_prefix, TEXT("/")))
        config->path_prefix.len--;
    config->backend =
        (struct backend_name){arena_text(arena, text_of(from->backend)), BACKEND_NONE};
    config->is_grpc = from->grpc;
    config->authority = authority_of(arena, config->backend.resource);
    config->body_max = MIN(from->body_bytes_max, LIMIT_HELD_BODY);
    *ret_config = config;
    enum err err = take_names(from->allowed_request_headers, from->n_allowed_request_headers, arena,
                              "allowed_request_headers", &config->to_service, fault);
    if (err == ERR_NONE)
        err = take_names(from->allowed_response_headers, from->n_allowed_response_headers, arena,
                         "allowed_response_headers", &config->from_service, fault);
    return err;
}

static struct backend_name *backend(void *opaque)
{
    struct external_auth *config = opaque;
    return &config->backend;
}

/* -- asking -- */

static bool has_name(const struct names *names, struct text name)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (text_equal_nocase(names->items[i], name))
            return true;
    return false;
}

/* What names the client is the gateway's to say: the same words as the backend gets. */
static void add_forwarded(struct exchange *x, const struct external_auth *config, bool all,
                          struct message *told)
{
    char text[ADDRESS_TEXT_MAX];
    const struct {
        enum name_id id;
        struct text value;
    } OURS[] = {
        {NAME_X_FORWARDED_FOR, arena_text(x->arena, address_format_host(&x->peer, text))},
        {NAME_X_FORWARDED_PROTO, x->request->scheme},
        {NAME_X_FORWARDED_HOST, x->request->authority},
    };
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++)
        if (all || has_name(&config->to_service, name_text(OURS[i].id)))
            message_add(told, x->arena, name_text(OURS[i].id), OURS[i].value);
}

static bool is_about_client(enum name_id id)
{
    return id == NAME_X_FORWARDED_FOR || id == NAME_X_FORWARDED_PROTO ||
           id == NAME_X_FORWARDED_HOST || id == NAME_X_FORWARDED_PORT || id == NAME_FORWARDED;
}

/* The request's fields that the service is told. GEP-1494: over HTTP Authorization and those that
 * are named; over gRPC those that are named, or all. */
static void tell_fields(struct exchange *x, const struct external_auth *config,
                        struct message *told)
{
    const struct message *request = x->request;
    bool all = config->is_grpc && config->to_service.count == 0;
    for (uint32_t i = 0; i < request->field_count; i++) {
        const struct field *field = &request->fields[i];
        bool always = !config->is_grpc && field->id == NAME_AUTHORIZATION;
        if (!is_about_client(field->id) &&
            (all || always || has_name(&config->to_service, field->name)))
            message_add(told, x->arena, field->name, field->value);
    }
    add_forwarded(x, config, all, told);
}

static void make_http(struct exchange *x, const struct external_auth *config,
                      struct message *request, struct text body)
{
    const struct message *from = x->request;
    message_init(request);
    request->method = from->method;
    request->method_name = from->method_name;
    request->scheme = from->scheme;
    request->authority = from->authority;
    request->host = from->host;
    request->path = from->path;
    if (config->path_prefix.len > 0)
        request->path = arena_printf(x->arena, TEXT_FMT TEXT_FMT, TEXT_ARG(config->path_prefix),
                                     TEXT_ARG(from->path));
    request->query = from->query;
    request->has_query = from->has_query;
    request->framing = body.len > 0 ? FRAMING_LENGTH : FRAMING_NONE;
    request->content_length = body.len;
    tell_fields(x, config, request);
}

static void on_done(void *owner)
{
    struct exchange *x = owner;
    if (x->resume != NULL)
        x->resume(x);
}

static void ask(struct exchange *x, const struct external_auth *config, struct state *state)
{
    struct text body = config->body_max > 0 ? buffer_text(&x->held.bytes) : TEXT_NONE;
    struct message told;
    message_init(&told);
    if (config->is_grpc) {
        tell_fields(x, config, &told);
        body = auth_check_ask(x, &told, body);
        auth_check_head(&state->request, config->authority, LIMIT_EXTERNAL_AUTH_MS, x->arena);
    } else {
        make_http(x, config, &state->request, body);
    }
    state->has_asked = true;
    inquiry_start(&state->inquiry, x,
                  &(struct inquiry_options){.slot = config->backend.slot,
                                            .request = &state->request,
                                            .body = body,
                                            .timeout_ms = LIMIT_EXTERNAL_AUTH_MS,
                                            .owner = x,
                                            .on_done = on_done});
}

/* -- the verdict -- */

static enum filter_verdict fail_closed(struct exchange *x, const char *details)
{
    exchange_respond(x, 403, FLAG_UAEX, details);
    exchange_respond_body(x, TEXT("text/plain; charset=utf-8"),
                          TEXT("The request could not be authorized.\n"));
    return FILTER_RESPOND;
}

static enum filter_verdict deny(struct exchange *x, int status, struct text body)
{
    exchange_respond(x, status, FLAG_UAEX, "external_auth_denied");
    x->local_body = arena_text(x->arena, body);
    x->response->content_length = body.len;
    return FILTER_RESPOND;
}

/* Without a list every field goes on, but those that describe the answer itself. */
static bool goes_on(const struct external_auth *config, const struct field *field)
{
    if (!header_edit_may(field->name, field->value))
        return false;
    if (config->from_service.count > 0)
        return has_name(&config->from_service, field->name);
    return field->id != NAME_DATE && field->id != NAME_SERVER && field->id != NAME_CONTENT_TYPE &&
           field->id != NAME_CONTENT_ENCODING;
}

static enum filter_verdict judge_http(struct exchange *x, const struct external_auth *config,
                                      const struct inquiry *inquiry)
{
    const struct message *head = &inquiry->head;
    if (head->status == 200) {
        for (uint32_t i = 0; i < head->field_count; i++)
            if (goes_on(config, &head->fields[i]))
                message_remove(x->request, head->fields[i].name);
        for (uint32_t i = 0; i < head->field_count; i++)
            if (goes_on(config, &head->fields[i]))
                message_add(x->request, x->arena, head->fields[i].name, head->fields[i].value);
        return FILTER_NEXT;
    }
    if (head->status < 300 || head->status >= 500)
        return fail_closed(x, "external_auth_error");
    deny(x, head->status, buffer_text(&inquiry->answer));
    for (uint32_t i = 0; i < head->field_count; i++)
        if (head->fields[i].id != NAME_DATE)
            message_add(x->response, x->arena, head->fields[i].name, head->fields[i].value);
    return FILTER_RESPOND;
}

static void grant(struct exchange *x, struct state *state,
                  const Envoy__Service__Auth__V3__OkHttpResponse *granted)
{
    for (size_t i = 0; i < granted->n_headers_to_remove; i++) {
        struct text name = text_of(granted->headers_to_remove[i]);
        if (header_edit_may(name, TEXT("")))
            message_remove(x->request, name);
    }
    auth_check_apply(granted->headers, granted->n_headers, x->request, x->arena);
    state->granted = granted;
}

#define ANSWER(name) ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_##name

/* An answer without a status says nothing, unless it has what only a granted one can have. */
static enum filter_verdict judge_grpc(struct exchange *x, struct state *state)
{
    const char *why;
    const Envoy__Service__Auth__V3__CheckResponse *answer =
        auth_check_read(&state->inquiry, x->arena, &why);
    if (answer == NULL)
        return fail_closed(x, why);
    bool is_ok = answer->http_response_case == ANSWER(OK_RESPONSE);
    bool is_denial = answer->http_response_case == ANSWER(DENIED_RESPONSE);
    if (answer->status == NULL ? is_ok : answer->status->code == 0) {
        if (is_ok)
            grant(x, state, answer->ok_response);
        return FILTER_NEXT;
    }
    if (!is_denial)
        return deny(x, 403, TEXT(""));
    const Envoy__Service__Auth__V3__DeniedHttpResponse *denied = answer->denied_response;
    int status = denied->status == NULL ? 0 : denied->status->code;
    deny(x, status >= 200 && status <= 599 ? status : 403, text_of(denied->body));
    if (denied->body[0] != '\0')
        message_add(x->response, x->arena, name_text(NAME_CONTENT_TYPE), TEXT("text/plain"));
    auth_check_apply(denied->headers, denied->n_headers, x->response, x->arena);
    return FILTER_RESPOND;
}

static enum filter_verdict judge(struct exchange *x, const struct external_auth *config,
                                 struct state *state)
{
    switch (state->inquiry.err) {
    case ERR_NONE:
        return config->is_grpc ? judge_grpc(x, state) : judge_http(x, config, &state->inquiry);
    case ERR_TIMEOUT:
        return fail_closed(x, "external_auth_timeout");
    case ERR_LIMIT:
        return fail_closed(x, "external_auth_limit");
    default:
        return fail_closed(x, "external_auth_unreachable");
    }
}

/* -- hooks -- */

static enum filter_verdict on_request(struct exchange *x, const void *opaque, void *opaque_state)
{
    const struct external_auth *config = opaque;
    struct state *state = opaque_state;
    if (!state->has_asked) {
        switch (config->body_max == 0 ? HELD_WHOLE : exchange_hold(x, config->body_max)) {
        case HELD_WAIT:
            return FILTER_WAIT;
        case HELD_TOO_LONG:
            exchange_respond(x, 413, FLAG_UAEX, "external_auth_body_too_large");
            exchange_respond_body(x, TEXT("text/plain; charset=utf-8"),
                                  TEXT("The request body is too large to be authorized.\n"));
            return FILTER_RESPOND;
        case HELD_WHOLE:
            break;
        }
        ask(x, config, state);
    }
    return state->inquiry.is_done ? judge(x, config, state) : FILTER_WAIT;
}

static enum filter_verdict on_response(struct exchange *x, const void *config, void *opaque_state)
{
    (void)config;
    const struct state *state = opaque_state;
    if (state->granted != NULL)
        auth_check_apply(state->granted->response_headers_to_add,
                         state->granted->n_response_headers_to_add, x->response, x->arena);
    return FILTER_NEXT;
}

static void on_end(struct exchange *x, const void *config, void *opaque_state)
{
    (void)x, (void)config;
    struct state *state = opaque_state;
    inquiry_cancel(&state->inquiry);
}

const struct filter_type filter_external_auth = {
    .name = "external_auth",
    .state_size = sizeof(struct state),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_end = on_end,
    .backend = backend,
};
