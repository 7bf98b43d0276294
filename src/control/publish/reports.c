/* Each report is written down as the JSON that is shown, so nothing of its memory is kept. Bounded:
 * one a node, and no more nodes than streams. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/publish/reports.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"

struct heard {
    char *node;          /* owns */
    struct builder json; /* one object */
};

struct reports {
    struct loop *loop;
    struct map by_node; /* node -> heard; owns */
    struct report_server *server;
};

static void free_heard(struct heard *heard)
{
    if (heard == NULL)
        return;
    builder_fini(&heard->json);
    free(heard->node);
    free(heard);
}

static void write_listeners(struct json *json, const Nantian__Report__V1__DataPlaneReport *report)
{
    json_array_begin(json, "listeners");
    for (size_t i = 0; i < report->n_listeners; i++) {
        const Nantian__Report__V1__ListenerState *listener = report->listeners[i];
        json_object_begin(json, NULL);
        json_string(json, "name", listener->name);
        json_string(json, "address", listener->address);
        json_bool(json, "bound", listener->bound);
        json_string(json, "why", listener->why);
        json_object_end(json);
    }
    json_array_end(json);
}

static void write_counters(struct json *json, const Nantian__Report__V1__DataPlaneReport *report)
{
    json_object_begin(json, "counters");
    for (size_t i = 0; i < report->n_counters; i++)
        if (report->counters[i]->n_labels == 0)
            json_int(json, report->counters[i]->name, (int64_t)report->counters[i]->value);
    json_object_end(json);
}

static void write_report(struct builder *out, const Nantian__Report__V1__DataPlaneReport *report)
{
    struct json json;
    json_init(&json, out, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "productVersion", report->product_version);
    json_int(&json, "started", (int64_t)report->started);
    json_bool(&json, "ready", report->ready);
    json_bool(&json, "draining", report->draining);
    json_int(&json, "workers", report->workers);
    json_int(&json, "applyMicroseconds", (int64_t)report->apply_us);
    json_int(&json, "refused", (int64_t)report->refused);
    json_int(&json, "refusedOlder", (int64_t)report->refused_older);
    write_listeners(&json, report);
    write_counters(&json, report);
    json_object_end(&json);
}

static void on_report(void *owner, const Nantian__Report__V1__DataPlaneReport *report)
{
    struct reports *reports = owner;
    struct text node = text_of(report->node);
    struct heard *heard = map_get(&reports->by_node, node);
    if (heard == NULL) {
        if (reports->by_node.count >= LIMIT_XDS_STREAMS)
            return;
        heard = memory_new(struct heard);
        heard->node = memory_string(node);
        map_put(&reports->by_node, text_of(heard->node), heard);
    }
    builder_clear(&heard->json);
    write_report(&heard->json, report);
    for (size_t i = 0; i < report->n_events; i++)
        log_info("data plane says", log_text("node", node),
                 log_str("event", report->events[i]->kind),
                 log_str("text", report->events[i]->text));
}

static void on_gone(void *owner, struct text node)
{
    struct reports *reports = owner;
    free_heard(map_remove(&reports->by_node, node));
}

struct reports *reports_new(struct loop *loop)
{
    static const struct report_server_events events = {on_report, on_gone};
    struct reports *reports = memory_new(struct reports);
    reports->loop = loop;
    map_init(&reports->by_node);
    reports->server = report_server_new(loop, &events, reports);
    return reports;
}

void reports_free(struct reports *reports)
{
    if (reports == NULL)
        return;
    report_server_free(reports->server);
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&reports->by_node, &at, &entry);)
        free_heard(entry->value);
    map_fini(&reports->by_node);
    free(reports);
}

struct report_server *reports_server(struct reports *reports)
{
    return reports->server;
}

void reports_json(const struct reports *reports, struct text node, struct json *json)
{
    const struct heard *heard = map_get(&reports->by_node, node);
    if (heard == NULL)
        json_null(json, NULL);
    else
        json_raw(json, NULL, builder_text(&heard->json));
}
