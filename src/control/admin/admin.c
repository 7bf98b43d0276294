/* Paths and answers of the control plane's API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/admin/admin.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "control/admin/disclose.h"
#include "control/admin/metrics.h"
#include "control/publish/reports.h"
#include "http/service.h"

struct admin {
    const struct admin_source *source;
    struct service *service;
    struct arena arena;       /* of what follows */
    struct tls_made stand_in; /* for certificates that are shown; made when it is wanted */
};

static void begin(struct json *json, struct service_reply *reply)
{
    json_init(json, &reply->body, 1);
    json_object_begin(json, NULL);
    json_string(json, "apiVersion", "control.nantian.dev/v1");
}

static void end(struct json *json, struct service_reply *reply)
{
    json_object_end(json);
    builder_add_char(&reply->body, '\n');
}

static void wall_time(struct json *json, const char *key, uint64_t ms)
{
    char time[25];
    if (ms == 0)
        return;
    clock_format(ms * 1000000u, time);
    json_string(json, key, time);
}

static void write_node(struct json *json, const struct delta_node *node,
                       const struct reports *reports, struct text current)
{
    struct text applied = node->applied == NULL ? TEXT_NONE : text_of(node->applied);
    bool in_sync = node->streams > 0 && !node->refusing && text_equal(applied, current);
    json_object_begin(json, NULL);
    json_string(json, "node", node->id);
    json_string(json, "product", node->product == NULL ? "" : node->product);
    json_string(json, "productVersion", node->product_version == NULL ? "" : node->product_version);
    json_string(json, "state",
                node->streams == 0 ? "gone"
                : node->refusing   ? "refusing"
                : in_sync          ? "synced"
                                   : "behind");
    wall_time(json, "since", node->joined_ms);
    json_text(json, "applied", applied);
    wall_time(json, "appliedAt", node->applied_ms);
    json_int(json, "applyMicroseconds", (int64_t)node->apply_us);
    if (node->refused != NULL) {
        json_string(json, "refused", node->refused);
        json_string(json, "refusal", node->refusal == NULL ? "" : node->refusal);
    }
    json_int(json, "pushes", (int64_t)node->counters.pushes);
    json_int(json, "bytes", (int64_t)node->counters.bytes);
    json_int(json, "resources", (int64_t)node->counters.resources);
    json_int(json, "removed", (int64_t)node->counters.removed);
    json_int(json, "acks", (int64_t)node->counters.acks);
    json_int(json, "refusals", (int64_t)node->counters.refusals);
    json_key(json, TEXT("report"));
    reports_json(reports, text_of(node->id), json);
    json_object_end(json);
}

/* Each replica lists its own data planes; who has others stands beside them. */
static void write_nodes(const struct admin *admin, struct json *json, struct text current)
{
    const struct delta_node *node = NULL;
    const struct delta_server *server = publish_server(admin->source->publish);
    json_array_begin(json, "nodes");
    for (size_t i = 0; (node = delta_server_node(server, i)) != NULL; i++)
        write_node(json, node, publish_reports(admin->source->publish), current);
    json_array_end(json);
    json_key(json, TEXT("replicas"));
    admin->source->replicas(admin->source->owner, json);
}

static void write_fault(struct json *json, const struct fault *fault)
{
    static const char *const levels[] = {"error", "warning", "note"};
    json_object_begin(json, NULL);
    json_string(json, "level", levels[fault->level]);
    json_string(json, "code", fault->code);
    json_text(json, "file", fault->file);
    json_int(json, "line", fault->line);
    json_int(json, "column", fault->column);
    json_text(json, "object", fault->where);
    json_text(json, "field", fault->field);
    json_text(json, "what", fault->what);
    json_text(json, "hint", fault->hint);
    json_object_end(json);
}

static void write_faults(const struct admin *admin, struct json *json, struct arena *arena)
{
    struct faults faults;
    faults_init(&faults, arena);
    json_array_begin(json, "faults");
    admin->source->faults(admin->source->owner, &faults);
    for (size_t i = 0; i < faults.count; i++)
        write_fault(json, &faults.items[i]);
    const struct outcome *outcome = admin->source->outcome(admin->source->owner);
    size_t count = 0;
    const struct fault **items = outcome == NULL ? NULL : outcome_faults(outcome, arena, &count);
    for (size_t i = 0; i < count; i++)
        write_fault(json, items[i]);
    json_array_end(json);
    faults_fini(&faults);
}

static void write_version(const struct admin *admin, struct json *json, struct arena *arena)
{
    char digest[33];
    digest_format(publish_digest(admin->source->publish), digest);
    json_string(json, "productVersion", admin->source->version);
    json_text(json, "snapshot", publish_version(admin->source->publish, arena));
    json_string(json, "digest", digest);
}

static void get_status(void *owner, const struct service_request *request,
                       struct service_reply *reply)
{
    const struct admin *admin = owner;
    struct json json;
    begin(&json, reply);
    write_version(admin, &json, request->arena);
    json_text(&json, "directory", admin->source->directory);
    json_key(&json, TEXT("files"));
    admin->source->files(admin->source->owner, &json);
    json_key(&json, TEXT("kinds"));
    admin->source->kinds(admin->source->owner, &json);
    const struct outcome *outcome = admin->source->outcome(admin->source->owner);
    json_key(&json, TEXT("objects"));
    if (outcome != NULL)
        outcome_status_json(outcome, &json);
    else
        json_null(&json, NULL);
    write_faults(admin, &json, request->arena);
    write_nodes(admin, &json, publish_version(admin->source->publish, request->arena));
    end(&json, reply);
}

static void get_nodes(void *owner, const struct service_request *request,
                      struct service_reply *reply)
{
    const struct admin *admin = owner;
    struct json json;
    begin(&json, reply);
    write_version(admin, &json, request->arena);
    write_nodes(admin, &json, publish_version(admin->source->publish, request->arena));
    end(&json, reply);
}

static void get_config(void *owner, const struct service_request *request,
                       struct service_reply *reply)
{
    const struct admin *admin = owner;
    struct json json;
    begin(&json, reply);
    write_version(admin, &json, request->arena);
    const struct outcome *outcome = admin->source->outcome(admin->source->owner);
    json_key(&json, TEXT("resources"));
    if (outcome != NULL)
        outcome_resources_json(outcome, &json);
    else
        json_null(&json, NULL);
    end(&json, reply);
}

static bool make_stand_in(struct admin *admin)
{
    struct tls_made authority;
    return tls_make_authority("stand-in", LIMIT_AUTHORITY_S, &admin->arena, &authority) &&
           tls_make_certificate(TEXT("stand-in"), LIMIT_AUTHORITY_S, &authority, &admin->arena,
                                &admin->stand_in);
}

static void get_resources(void *owner, const struct service_request *request,
                          struct service_reply *reply)
{
    struct admin *admin = owner;
    const struct outcome *outcome = admin->source->outcome(admin->source->owner);
    if (outcome == NULL) {
        service_fail(reply, 503, "the configuration is not translated yet");
        return;
    }
    if (admin->stand_in.key.len == 0 && !make_stand_in(admin)) {
        service_fail(reply, 500, "no certificate could be made");
        return;
    }
    struct json json;
    begin(&json, reply);
    write_version(admin, &json, request->arena);
    json_key(&json, TEXT("resources"));
    disclose_resources(outcome, admin->source->publish, service_query(request, "gateway"),
                       &admin->stand_in, &json);
    end(&json, reply);
}

static void get_live(void *owner, const struct service_request *request,
                     struct service_reply *reply)
{
    (void)owner;
    (void)request;
    reply->content_type = "text/plain";
    builder_add_string(&reply->body, "ok\n");
}

static void get_ready(void *owner, const struct service_request *request,
                      struct service_reply *reply)
{
    const struct admin *admin = owner;
    const char *why = admin->source->obstacle(admin->source->owner);
    if (admin->source->outcome(admin->source->owner) == NULL)
        service_fail(reply, 503, "the configuration is not translated yet");
    else if (why != NULL)
        service_fail(reply, 503, why);
    else
        get_live(owner, request, reply);
}

static void get_metrics(void *owner, const struct service_request *request,
                        struct service_reply *reply)
{
    (void)request;
    const struct admin *admin = owner;
    reply->content_type = "text/plain; version=0.0.4";
    metrics_write(admin->source, &reply->body);
}

static void on_stranger(void *owner, uint64_t ticket, const struct message *head)
{
    const struct admin *admin = owner;
    admin->source->admit(admin->source->owner, ticket, head);
}

struct admin *admin_new(struct loop *loop, const struct admin_source *source)
{
    static const struct service_path paths[] = {
        {"GET", "/healthz", get_live, true},      {"GET", "/livez", get_live, true},
        {"GET", "/readyz", get_ready, true},      {"GET", "/metrics", get_metrics, true},
        {"GET", "/v1/status", get_status, false}, {"GET", "/v1/nodes", get_nodes, false},
        {"GET", "/v1/config", get_config, false}, {"GET", "/v1/resources", get_resources, false},
    };
    struct admin *admin = memory_new(struct admin);
    admin->source = source;
    arena_init(&admin->arena, 0);
    admin->service = service_new(loop, paths, ARRAY_LEN(paths), admin);
    if (source->admit != NULL)
        service_set_guard(admin->service, on_stranger, admin);
    return admin;
}

bool admin_listen(struct admin *admin, const struct address *address)
{
    return service_listen(admin->service, address);
}

void admin_admit(struct admin *admin, uint64_t ticket, int status, const char *why)
{
    service_admit(admin->service, ticket, status, why);
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    service_free(admin->service);
    arena_fini(&admin->arena);
    free(admin);
}
