/* Sends the client somewhere else: scheme, host, port and path as configured, the rest as it came.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "data/filter/path_edit.h"

struct redirect {
    struct text scheme, hostname; /* empty: of the request */
    struct path_edit path;
    uint16_t port; /* 0: by scheme, or the listener's */
    int status;
};

static enum err refuse(struct fault *fault, struct text field, struct text what)
{
    fault->field = field;
    fault->what = what;
    return ERR_INVALID;
}

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__Redirect *from = message;
    struct redirect *config = arena_new(arena, struct redirect);
    config->status = from->status == 0 ? 302 : (int)MIN(from->status, 999u);
    if (config->status != 301 && config->status != 302 && config->status != 303 &&
        config->status != 307 && config->status != 308)
        return refuse(fault, TEXT("status"), TEXT("is none of 301, 302, 303, 307, 308"));
    config->scheme = arena_text(arena, text_of(from->scheme));
    if (config->scheme.len > 0 && !text_is(config->scheme, "http") &&
        !text_is(config->scheme, "https"))
        return refuse(fault, TEXT("scheme"), TEXT("is neither http nor https"));
    config->hostname = arena_text(arena, text_of(from->hostname));
    if (!path_edit_host_is_valid(config->hostname))
        return refuse(fault, TEXT("hostname"), TEXT("is not a host name"));
    if (from->port > UINT16_MAX)
        return refuse(fault, TEXT("port"), TEXT("is above 65535"));
    config->port = (uint16_t)from->port;
    *ret_config = config;
    return path_edit_compile(from->path, arena, &config->path, fault);
}

/* The port that Location names, or 0 to leave it out (Gateway API, HTTPRequestRedirectFilter.port).
 */
static uint16_t port_of(const struct redirect *config, const struct exchange *x, struct text scheme)
{
    uint16_t known = text_is(scheme, "https") ? 443 : 80;
    uint16_t port = config->port;
    if (port == 0)
        port = config->scheme.len > 0 || x->listener == NULL ? known : x->listener->port;
    return port == known ? 0 : port;
}

static enum filter_verdict on_request(struct exchange *x, const void *opaque, void *state)
{
    (void)state;
    const struct redirect *config = opaque;
    const struct message *request = x->request;
    struct text scheme = config->scheme.len > 0 ? config->scheme : request->scheme;
    struct text host = config->hostname.len > 0 ? config->hostname : request->host;
    struct text path = path_edit_apply(&config->path, x);
    char port[8] = "";
    uint16_t number = port_of(config, x, scheme);
    if (number != 0)
        snprintf(port, sizeof(port), ":%u", number);
    const char *mark = request->has_query ? "?" : "";
    struct text location;
    if (host.len > 0)
        location = arena_printf(x->arena, TEXT_FMT "://" TEXT_FMT "%s" TEXT_FMT "%s" TEXT_FMT,
                                TEXT_ARG(scheme), TEXT_ARG(host), port, TEXT_ARG(path), mark,
                                TEXT_ARG(request->query));
    else /* HTTP/1.0 without a Host: "//" at its start would be somebody else's host */
        location = arena_printf(x->arena, "%s" TEXT_FMT "%s" TEXT_FMT,
                                text_starts_with(path, TEXT("//")) ? "/." : "", TEXT_ARG(path),
                                mark, TEXT_ARG(request->query));
    exchange_respond(x, config->status, FLAG_NONE, "redirect");
    message_add(x->response, x->arena, TEXT("location"), location);
    return FILTER_RESPOND;
}

const struct filter_type filter_redirect = {
    .name = "redirect",
    .compile = compile,
    .on_request = on_request,
};
