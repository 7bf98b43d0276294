/* Counted where the work is done, written here. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/admin/metrics.h"

#include "base/log.h"

#define PREFIX "nantian_control_"

static void family(struct builder *out, const char *name, const char *type, const char *help)
{
    builder_printf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void single(struct builder *out, const char *name, const char *type, const char *help,
                   double value)
{
    family(out, name, type, help);
    builder_printf(out, PREFIX "%s %.17g\n", name, value);
}

static void write_nodes(struct builder *out, const struct delta_server *server)
{
    size_t connected = 0, refusing = 0, gone = 0;
    const struct delta_node *node = NULL;
    for (size_t i = 0; (node = delta_server_node(server, i)) != NULL; i++) {
        gone += node->streams == 0;
        refusing += node->streams > 0 && node->refusing;
        connected += node->streams > 0 && !node->refusing;
    }
    family(out, "xds_nodes", "gauge", "Data planes by state.");
    builder_printf(out, PREFIX "xds_nodes{state=\"connected\"} %zu\n", connected);
    builder_printf(out, PREFIX "xds_nodes{state=\"refusing\"} %zu\n", refusing);
    builder_printf(out, PREFIX "xds_nodes{state=\"gone\"} %zu\n", gone);
}

static void write_xds(struct builder *out, const struct delta_server *server)
{
    const struct delta_counters *xds = delta_server_counters(server);
    single(out, "xds_streams", "gauge", "Open delta streams.",
           (double)delta_server_streams(server));
    single(out, "xds_pushes_total", "counter", "Rounds of pushes to data planes.",
           (double)xds->pushes);
    single(out, "xds_sent_bytes_total", "counter", "Bytes of responses sent.", (double)xds->bytes);
    single(out, "xds_sent_resources_total", "counter", "Resources sent.", (double)xds->resources);
    single(out, "xds_removed_resources_total", "counter", "Removals sent.", (double)xds->removed);
    single(out, "xds_acks_total", "counter", "Snapshots acknowledged.", (double)xds->acks);
    single(out, "xds_refusals_total", "counter", "Snapshots or responses refused.",
           (double)xds->refusals);
}

void metrics_write(const struct admin_source *source, struct builder *out)
{
    const struct delta_server *server = publish_server(source->publish);
    uint64_t runs = 0, translated = 0, last_us = 0;
    source->work(source->owner, &runs, &translated, &last_us);
    family(out, "build_info", "gauge", "The program.");
    builder_printf(out, PREFIX "build_info{version=\"%s\"} 1\n", source->version);
    single(out, "cycles_total", "counter", "Translations run.", (double)runs);
    single(out, "translated_objects_total", "counter", "Objects translated in them.",
           (double)translated);
    single(out, "snapshot_build_duration_seconds", "gauge", "Time of the last translation.",
           (double)last_us / 1e6);
    family(out, "objects", "gauge", "Objects in the store.");
    for (int kind = KIND_NONE + 1; kind < KIND_COUNT; kind++)
        builder_printf(out, PREFIX "objects{kind=\"%s\"} %zu\n", kind_name((enum kind_id)kind),
                       store_count(source->store, (enum kind_id)kind));
    family(out, "resources", "gauge", "Resources published.");
    for (int type = 0; type < RESOURCE_SNAPSHOT; type++)
        builder_printf(out, PREFIX "resources{type=\"%s\"} %zu\n",
                       types_name((enum resource_type)type),
                       resource_set_count(delta_server_set(server), (enum resource_type)type));
    write_nodes(out, server);
    write_xds(out, server);
    single(out, "log_lines_dropped_total", "counter", "Log lines lost to a stuck reader.",
           (double)log_dropped());
}
