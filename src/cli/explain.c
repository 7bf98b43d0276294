/* nantian explain: one request through the proxy's own router, with a recorder attached. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/builder.h"
#include "base/json.h"
#include "cli/compiled.h"
#include "cli/describe.h"
#include "http/h1_parse.h"
#include "http/url.h"

#define HEADERS_MAX 100
#define PORTS_TOLD  8 /* of those that there are */

struct explain {
    struct arena arena;
    struct text method, url, sni;
    struct text headers[HEADERS_MAX]; /* "k: v" */
    size_t header_count;
    bool as_json;
    struct json json;
    struct builder out;
    uint16_t port;
    struct message request;
};

/* scheme://host[:port]/path into the request; false: *ret_why. */
static bool parse_url(struct explain *explain, const char **ret_why)
{
    struct message *request = &explain->request;
    message_init(request);
    request->method_name = explain->method;
    request->method = message_method(explain->method);
    request->version = 11;
    struct text url = explain->url;
    bool is_https = text_starts_with(url, TEXT("https://"));
    if (!is_https && !text_starts_with(url, TEXT("http://"))) {
        *ret_why = "it must begin with http:// or https://";
        return false;
    }
    request->scheme = is_https ? TEXT("https") : TEXT("http");
    struct text rest = text_slice(url, is_https ? 8 : 7, url.len);
    size_t slash = text_find(rest, '/', 0), mark = text_find(rest, '?', 0);
    struct text authority = text_slice(rest, 0, MIN(slash, mark));
    struct text target = text_slice(rest, authority.len, rest.len);
    if (target.len == 0 || target.data[0] != '/')
        target = arena_printf(&explain->arena, "/" TEXT_FMT, TEXT_ARG(target));
    explain->port = is_https ? 443 : 80;
    size_t colon =
        text_find(authority, ':',
                  authority.len > 0 && authority.data[0] == '[' ? text_find(authority, ']', 0) : 0);
    uint64_t port = 0;
    if (colon < authority.len &&
        text_to_u64(text_slice(authority, colon + 1, authority.len), &port) && port < 65536)
        explain->port = (uint16_t)port;
    return url_parse_authority(&explain->arena, authority, request, ret_why) &&
           url_parse_target(&explain->arena, target, true, request, ret_why);
}

static bool add_headers(struct explain *explain, const char **ret_why)
{
    for (size_t i = 0; i < explain->header_count; i++) {
        struct text header = explain->headers[i];
        size_t colon = text_find(header, ':', 0);
        if (colon == 0 || colon == header.len) {
            *ret_why = "-H wants `name: value`";
            return false;
        }
        struct text name = text_slice(header, 0, colon);
        if (!h1_parse_is_token(name)) {
            *ret_why = "its name has a character that none can have";
            return false;
        }
        struct text value = text_trim(text_slice(header, colon + 1, header.len));
        if (!text_equal_nocase(name, TEXT("host")))
            message_add(&explain->request, &explain->arena, name, value);
        else if (!url_parse_authority(&explain->arena, value, &explain->request, ret_why))
            return false;
    }
    return true;
}

/* The binding of the URL's port; its address if the host is one. */
static const struct binding *find_binding(const struct explain *explain,
                                          const struct snapshot *snapshot)
{
    const struct binding *found = NULL;
    char text[ADDRESS_TEXT_MAX];
    for (uint32_t i = 0; i < snapshot->binding_count; i++) {
        const struct binding *binding = snapshot->bindings[i];
        if (address_port(&binding->address) != explain->port)
            continue;
        if (found == NULL ||
            text_equal(address_format_host(&binding->address, text), explain->request.host))
            found = binding;
    }
    return found;
}

static void on_candidate(void *owner, const struct route *route, const struct route_match *match,
                         struct text hostname, const char *lost, struct text detail)
{
    struct explain *explain = owner;
    struct text what = describe_match(match, &explain->arena);
    if (explain->as_json) {
        struct json *json = &explain->json;
        json_object_begin(json, NULL);
        json_text(json, "route", route->label);
        json_text(json, "rule", route->rule_name);
        json_text(json, "hostname", hostname);
        json_text(json, "match", what);
        json_bool(json, "won", lost == NULL);
        json_string(json, "lost", lost == NULL ? "" : lost);
        json_text(json, "detail", detail);
        json_object_end(json);
        return;
    }
    const char *mark = lost == NULL ? "+" : text_is(text_of(lost), "lower rank") ? "~" : "-";
    printf(
        "  %s " TEXT_FMT "%s" TEXT_FMT "   host " TEXT_FMT "   " TEXT_FMT "   %s%s" TEXT_FMT "\n",
        mark, TEXT_ARG(route->label), route->rule_name.len > 0 ? " " : "",
        TEXT_ARG(route->rule_name), TEXT_ARG(hostname.len > 0 ? hostname : TEXT("*")),
        TEXT_ARG(what), lost == NULL ? "WINS" : lost, detail.len > 0 ? " " : "", TEXT_ARG(detail));
}

static void tell_listeners(struct explain *explain, const struct binding *binding,
                           const struct listener_config *chosen)
{
    for (uint32_t i = 0; i < binding->listener_count; i++) {
        const struct listener_config *listener = binding->listeners[i];
        bool won = listener == chosen;
        struct text host = listener->hostname.len > 0 ? listener->hostname : TEXT("*");
        if (explain->as_json) {
            json_object_begin(&explain->json, NULL);
            json_text(&explain->json, "listener", listener->resource);
            json_text(&explain->json, "hostname", listener->hostname);
            json_bool(&explain->json, "won", won);
            json_object_end(&explain->json);
        } else {
            printf("%s " TEXT_FMT " :%u   hostname " TEXT_FMT "%s\n",
                   won ? "listener  " : "        - ", TEXT_ARG(listener->resource), listener->port,
                   TEXT_ARG(host), won ? "" : "   (a more specific one, or none, fits the host)");
        }
    }
}

static void tell_hit(struct explain *explain, const struct route_hit *hit,
                     const struct snapshot *snapshot)
{
    const struct route *route = hit->route;
    struct text filters = describe_filters(route->filters, &explain->arena);
    struct text backends = describe_backends(route, &explain->arena);
    if (explain->as_json) {
        struct json *json = &explain->json;
        json_object_begin(json, "result");
        json_text(json, "route", route->label);
        json_text(json, "rule", route->rule_name);
        json_text(json, "filters", filters);
        json_text(json, "backends", backends);
        json_int(json, "requestTimeoutMs", route->request_timeout_ms);
        json_int(json, "backendTimeoutMs", route->backend_timeout_ms);
        json_int(json, "retries", route->retry.attempts);
        json_object_end(json);
        return;
    }
    printf("filters    " TEXT_FMT "\n", TEXT_ARG(filters.len > 0 ? filters : TEXT("none")));
    printf("backends   " TEXT_FMT "\n", TEXT_ARG(backends));
    for (uint32_t i = 0; i < route->backend_count; i++) {
        uint32_t slot = route->backends[i].slot;
        const struct backend *backend =
            slot == BACKEND_NONE ? NULL : backend_table_get(snapshot->backends, slot);
        if (backend == NULL)
            continue;
        printf("             " TEXT_FMT "   %u endpoints", TEXT_ARG(backend->name),
               backend->endpoint_count);
        for (uint32_t e = 0; e < backend->endpoint_count && e < 4; e++)
            printf("%s" TEXT_FMT, e == 0 ? ": " : ", ", TEXT_ARG(backend->endpoints[e].text));
        puts(backend->endpoint_count > 4 ? ", ..." : "");
    }
    printf("timeouts   request %u ms, backend %u ms (0: none), %u retries\n",
           route->request_timeout_ms, route->backend_timeout_ms, route->retry.attempts);
}

static int nowhere(struct explain *explain, const char *result, const char *words)
{
    if (explain->as_json) {
        json_string(&explain->json, "result", result);
        json_string(&explain->json, "reason", words);
    } else {
        printf("result     %s: %s\n", result, words);
    }
    return CLI_FINDINGS;
}

/* "no listener has port 80; there are 8080, 8443" */
static const char *no_port(struct explain *explain, const struct snapshot *snapshot)
{
    struct text words = arena_printf(&explain->arena, "no listener has port %u", explain->port);
    uint32_t told = 0;
    for (uint32_t i = 0; i < snapshot->binding_count; i++) {
        uint16_t port = address_port(&snapshot->bindings[i]->address);
        bool is_told = false;
        for (uint32_t k = 0; k < i; k++)
            is_told = is_told || address_port(&snapshot->bindings[k]->address) == port;
        if (is_told)
            continue;
        if (told == PORTS_TOLD)
            return arena_printf(&explain->arena, TEXT_FMT ", ...", TEXT_ARG(words)).data;
        words = arena_printf(&explain->arena, TEXT_FMT "%s%u", TEXT_ARG(words),
                             told++ == 0 ? "; there are " : ", ", port);
    }
    return words.data;
}

static int judge(struct explain *explain, const struct snapshot *snapshot)
{
    const struct binding *binding = find_binding(explain, snapshot);
    struct text name = explain->sni.len > 0 ? explain->sni : explain->request.host;
    if (binding == NULL)
        return nowhere(explain, "refused", no_port(explain, snapshot));
    const struct listener_config *listener = binding_listener(binding, name);
    const struct listener_config *by_host = binding_listener(binding, explain->request.host);
    if (explain->as_json)
        json_array_begin(&explain->json, "listeners");
    tell_listeners(explain, binding, listener);
    if (explain->as_json)
        json_array_end(&explain->json);
    if (listener == NULL)
        return nowhere(explain, "404", "no listener of this port takes the host");
    if (listener != by_host)
        return nowhere(explain, "421", "the server name and the host belong to other listeners");
    struct route_hit hit;
    const struct route_recorder recorder = {explain, on_candidate};
    if (explain->as_json)
        json_array_begin(&explain->json, "candidates");
    else
        puts("candidates (+ wins, ~ would match and ranks lower, - does not match)");
    bool found = route_table_match(listener->routes, &explain->request, &recorder, &hit);
    if (explain->as_json)
        json_array_end(&explain->json);
    if (!found)
        return nowhere(explain, "404", "no rule matches");
    tell_hit(explain, &hit, snapshot);
    return CLI_OK;
}

/* The request as the flags say it; false: a message was printed. */
static bool read_request(struct explain *explain)
{
    const char *why = NULL;
    if (!h1_parse_is_token(explain->method))
        cli_complain(&cli_explain, "`%s` is no method", why = explain->method.data);
    else if (!parse_url(explain, &why))
        cli_complain(&cli_explain, "`%s` is no URL that a request could have: %s",
                     explain->url.data, why);
    else if (!add_headers(explain, &why))
        cli_complain(&cli_explain, "a header is not valid: %s", why);
    return why == NULL;
}

/* A request goes to one Gateway: which one, its address says, which is not for us to guess. */
static int load_running(struct compiled *compiled, const struct ask_options *options,
                        const struct compiled_choice *choice)
{
    struct ask ask;
    struct text *gateways = NULL;
    size_t count = 0;
    int code = ask_open(&ask, &cli_explain, options);
    if (code == CLI_OK)
        code = compiled_gateways(&ask, choice, &gateways, &count);
    if (code == CLI_OK && count > 1) {
        cli_complain(&cli_explain, "say which Gateway with --gateway, one of:");
        for (size_t i = 0; i < count; i++)
            fprintf(stderr, "  " TEXT_FMT "\n", TEXT_ARG(gateways[i]));
        code = CLI_USAGE;
    }
    if (code == CLI_OK)
        code = compiled_ask(compiled, &ask, gateways[0]);
    ask_close(&ask);
    return code;
}

static int explain_request(struct explain *explain, struct compiled *compiled)
{
    json_init(&explain->json, &explain->out, 2);
    json_object_begin(&explain->json, NULL);
    json_string(&explain->json, "apiVersion", "cli.nantian.dev/v1");
    json_text(&explain->json, "method", explain->method);
    json_text(&explain->json, "url", explain->url);
    json_text(&explain->json, "path", explain->request.path);
    if (!explain->as_json)
        printf(TEXT_FMT " " TEXT_FMT "   (host " TEXT_FMT ", path " TEXT_FMT ")\n",
               TEXT_ARG(explain->method), TEXT_ARG(explain->url), TEXT_ARG(explain->request.host),
               TEXT_ARG(explain->request.path));
    int code = judge(explain, compiled->snapshot);
    json_object_end(&explain->json);
    if (explain->as_json)
        puts(explain->out.data);
    builder_fini(&explain->out);
    compiled_fini(compiled);
    return code;
}

static bool take_word(struct explain *explain, const char *word)
{
    if (explain->method.len == 0)
        explain->method = text_of(word);
    else if (explain->url.len == 0)
        explain->url = text_of(word);
    else
        return false;
    return true;
}

static int run(int argc, char **argv)
{
    struct explain explain = {0};
    struct ask_options ask = {0};
    struct compiled_choice choice = {0};
    const char *directory = NULL;
    struct cli_args args;
    cli_args_init(&args, &cli_explain, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", '\0')) {
            cli_print_usage(&cli_explain);
            return CLI_OK;
        }
        if (cli_args_is(&args, "file", 'f'))
            directory = cli_args_value(&args);
        else if (cli_args_is(&args, "header", 'H') && explain.header_count < HEADERS_MAX)
            explain.headers[explain.header_count++] = text_of(cli_args_value(&args));
        else if (cli_args_is(&args, "sni", '\0'))
            explain.sni = text_of(cli_args_value(&args));
        else if (!ask_flag(&args, &ask) && !compiled_flag(&args, &choice) &&
                 (args.flag != NULL || !take_word(&explain, args.value)))
            cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    if (explain.url.len == 0) {
        cli_complain(&cli_explain, "say a method and a URL: %s explain GET http://host/path",
                     cli_program());
        return CLI_USAGE;
    }
    arena_init(&explain.arena, 0);
    explain.as_json = ask.as_json;
    struct compiled compiled;
    int code = CLI_USAGE;
    if (read_request(&explain))
        code = directory != NULL ? compiled_load(&compiled, &cli_explain, directory)
                                 : load_running(&compiled, &ask, &choice);
    if (code == CLI_OK)
        code = explain_request(&explain, &compiled);
    arena_fini(&explain.arena);
    return code;
}

const struct cli_verb cli_explain = {
    .name = "explain",
    .summary = "say which rule serves a request, and why the others do not",
    .usage = "METHOD URL [-H 'name: value'] [--sni NAME] [-f PATH] [FLAGS]\n\n"
             "  --header H       a header of the request (-H, repeatable); Host counts\n"
             "  --sni NAME       the TLS server name, if it differs from the host\n"
             "  --file PATH      a directory or file instead of the running gateway "
             "(-f)\n" COMPILED_USAGE ASK_USAGE "\n\n"
             "exit codes: 0 a rule wins, 1 none does, 2 usage, 3 nobody answers",
    .run = run,
};
