/* GET /healthz /readyz /metrics; from this machine also GET /config_dump, POST /drain. The dump
 * names secrets' owners, never their contents. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/admin.h"

#include <errno.h>

#include "base/json.h"
#include "net/tls.h"

static void answer_text(struct service_reply *reply, int status, const char *words)
{
    reply->status = status;
    reply->content_type = "text/plain; charset=utf-8";
    builder_add_string(&reply->body, words);
}

static void on_health(void *owner, const struct service_request *request,
                      struct service_reply *reply)
{
    (void)owner, (void)request;
    answer_text(reply, 200, "ok\n");
}

static void on_ready(void *owner, const struct service_request *request,
                     struct service_reply *reply)
{
    (void)request;
    const struct admin *admin = owner;
    if (status_is_ready(admin->status))
        answer_text(reply, 200, "ready\n");
    else if (admin->status->is_draining)
        answer_text(reply, 503, "draining\n");
    else if (admin->status->ceiling->level >= PRESSURE_FULL)
        answer_text(reply, 503, "out of memory for new requests\n");
    else
        answer_text(reply, 503, "no snapshot is served yet\n");
}

static void on_metrics(void *owner, const struct service_request *request,
                       struct service_reply *reply)
{
    (void)request;
    const struct admin *admin = owner;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    status_write_metrics(admin->status, &reply->body);
}

static void on_drain(void *owner, const struct service_request *request,
                     struct service_reply *reply)
{
    (void)request;
    const struct admin *admin = owner;
    answer_text(reply, 202, "draining\n");
    admin->on_drain(admin->owner);
}

/* -- the dump -- */

static const char *path_word(enum path_match kind)
{
    return kind == PATH_EXACT ? "exact" : kind == PATH_REGEX ? "regex" : "prefix";
}

static void dump_fields(struct json *json, const char *key, const struct field_match *fields,
                        uint32_t count)
{
    if (count == 0)
        return;
    json_array_begin(json, key);
    for (uint32_t i = 0; i < count; i++) {
        json_object_begin(json, NULL);
        json_text(json, "name", fields[i].name);
        json_text(json, "value", fields[i].value);
        json_bool(json, "regex", fields[i].regex != NULL);
        json_object_end(json);
    }
    json_array_end(json);
}

static void dump_route(void *owner, const struct route *route, const struct route_match *match,
                       struct text hostname)
{
    struct json *json = owner;
    json_object_begin(json, NULL);
    json_text(json, "hostname", hostname);
    json_string(json, "path_match", path_word(match->path_kind));
    json_text(json, "path", match->path);
    if (match->method.len > 0)
        json_text(json, "method", match->method);
    dump_fields(json, "headers", match->headers, match->header_count);
    dump_fields(json, "query", match->query, match->query_count);
    json_text(json, "route", route->label);
    json_text(json, "resource", route->resource);
    json_array_begin(json, "backends");
    for (uint32_t i = 0; i < route->backend_count; i++) {
        json_object_begin(json, NULL);
        json_text(json, "name", route->backends[i].name);
        json_int(json, "weight", route->backends[i].weight);
        json_bool(json, "valid", route->backends[i].slot != BACKEND_NONE);
        json_object_end(json);
    }
    json_array_end(json);
    json_int(json, "request_timeout_ms", route->request_timeout_ms);
    json_int(json, "backend_timeout_ms", route->backend_timeout_ms);
    json_int(json, "retries", route->retry.attempts);
    json_object_end(json);
}

static const char *protocol_word(enum listener_protocol protocol)
{
    static const char *const WORDS[] = {"", "HTTP", "HTTPS", "TLS", "TCP", "UDP"};
    return (size_t)protocol < ARRAY_LEN(WORDS) ? WORDS[protocol] : "";
}

static void dump_listener(struct json *json, const struct listener_config *listener)
{
    json_object_begin(json, NULL);
    json_text(json, "name", listener->resource);
    json_text(json, "gateway", listener->gateway);
    json_string(json, "protocol", protocol_word(listener->protocol));
    json_int(json, "port", listener->port);
    json_text(json, "hostname", listener->hostname);
    json_array_begin(json, "certificates_end");
    for (uint32_t i = 0; i < listener->certificate_count; i++)
        json_int(json, NULL, (int64_t)tls_certificate_not_after(listener->certificates[i]));
    json_array_end(json);
    if (listener->unusable != NULL)
        json_string(json, "unusable", listener->unusable);
    json_array_begin(json, "routes");
    route_table_walk(listener->routes, json, dump_route);
    json_array_end(json);
    json_object_end(json);
}

static void dump_bindings(struct json *json, const struct snapshot *snapshot)
{
    json_array_begin(json, "bindings");
    for (uint32_t i = 0; i < snapshot->binding_count; i++) {
        const struct binding *binding = snapshot->bindings[i];
        char address[ADDRESS_TEXT_MAX];
        json_object_begin(json, NULL);
        json_text(json, "address", address_format(&binding->address, address));
        json_string(json, "protocol", protocol_word(binding->protocol));
        json_array_begin(json, "listeners");
        for (uint32_t j = 0; j < binding->listener_count; j++)
            dump_listener(json, binding->listeners[j]);
        json_array_end(json);
        json_object_end(json);
    }
    json_array_end(json);
}

static void dump_backend(struct json *json, const struct backend *backend)
{
    json_object_begin(json, NULL);
    json_text(json, "name", backend->name);
    json_bool(json, "tls", backend->tls != NULL);
    if (backend->dns_name.len > 0)
        json_text(json, "dns_name", backend->dns_name);
    if (backend->fail_status != 0)
        json_int(json, "fail_status", backend->fail_status);
    json_array_begin(json, "endpoints");
    for (uint32_t i = 0; i < backend->endpoint_count; i++) {
        json_object_begin(json, NULL);
        json_text(json, "address", backend->endpoints[i].text);
        json_int(json, "weight", backend->endpoints[i].weight);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void dump_config(struct json *json, const struct admin *admin)
{
    struct config_status config = config_status(admin->status->config);
    char digest[33];
    digest_format(config.digest, digest);
    json_string(json, "apiVersion", "proxy.nantian.dev/v1");
    json_string(json, "node", admin->status->options->node);
    json_string(json, "product_version", NANTIAN_VERSION);
    json_text(json, "version", config.version);
    json_string(json, "digest", config.number == 0 ? "" : digest);
    json_int(json, "snapshot", (int64_t)config.number);
    json_int(json, "applied_at_ms", (int64_t)config.applied_wall_ms);
    json_int(json, "apply_us", (int64_t)config.apply_us);
    json_int(json, "refused", (int64_t)config.refused);
    json_text(json, "last_refusal", config.last_refusal);
    json_bool(json, "from_disk", config.from_disk);
    json_bool(json, "connected", config.is_connected);
    json_string(json, "not_connected_why", config.is_connected ? "" : config.why_not);
    json_bool(json, "ready", status_is_ready(admin->status));
    json_bool(json, "draining", admin->status->is_draining);
}

static void on_dump(void *owner, const struct service_request *request, struct service_reply *reply)
{
    (void)request;
    const struct admin *admin = owner;
    const struct snapshot *snapshot = rollout_current(config_rollout(admin->status->config));
    struct json json;
    json_init(&json, &reply->body, 2);
    json_object_begin(&json, NULL);
    dump_config(&json, admin);
    if (snapshot != NULL) {
        dump_bindings(&json, snapshot);
        json_array_begin(&json, "backends");
        for (uint32_t i = 0; i < backend_table_slots(snapshot->backends); i++)
            if (backend_table_get(snapshot->backends, i) != NULL)
                dump_backend(&json, backend_table_get(snapshot->backends, i));
        json_array_end(&json);
    }
    json_object_end(&json);
    builder_add_char(&reply->body, '\n');
}

static const struct service_path PATHS[] = {
    {"GET", "/healthz", on_health, true},  {"GET", "/readyz", on_ready, true},
    {"GET", "/metrics", on_metrics, true}, {"GET", "/config_dump", on_dump, false},
    {"POST", "/drain", on_drain, false},
};

static void on_stranger(void *owner, uint64_t ticket, const struct message *head)
{
    (void)head;
    struct admin *admin = owner;
    service_admit(admin->service, ticket, 403, "this is answered over loopback alone");
}

static bool listen_at(struct service *service, struct text endpoint, struct handover *sockets)
{
    struct address address;
    if (!address_parse_endpoint(endpoint, &address))
        return false;
    int fd = handover_take(sockets, &address, false);
    return fd >= 0 ? service_take(service, fd) : service_listen(service, &address);
}

bool admin_open(struct admin *admin, struct loop *loop, const struct status *status,
                struct handover *sockets, void *owner, void (*on_drain_asked)(void *owner))
{
    *admin = (struct admin){.status = status, .owner = owner, .on_drain = on_drain_asked};
    const struct options *options = status->options;
    admin->service = service_new(loop, PATHS, ARRAY_LEN(PATHS), admin);
    service_set_guard(admin->service, on_stranger, admin);
    for (size_t i = 0; i < options->admin_count; i++) {
        if (!listen_at(admin->service, text_of(options->admin[i]), sockets)) {
            log_error("the admin port cannot be opened", log_str("address", options->admin[i]),
                      log_str("why", strerrordesc_np(errno)));
            return false;
        }
        char text[ADDRESS_TEXT_MAX];
        struct address address = service_address(admin->service);
        log_info("admin port open", log_text("address", address_format(&address, text)));
    }
    return true;
}

void admin_close(struct admin *admin)
{
    if (admin->service != NULL)
        service_free(admin->service);
    admin->service = NULL;
}
