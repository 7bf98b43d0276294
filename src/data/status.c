/* Collects from the configuration and from every worker's counters; the workers do not notice. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/status.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "data/observe/exposition.h"
#include "net/tls.h"

#define SAMPLES_MAX 64

bool status_is_ready(const struct status *status)
{
    return !status->is_draining && status->ceiling->level < PRESSURE_FULL &&
           status->config != NULL && rollout_current(config_rollout(status->config)) != NULL;
}

/* -- totals of the workers -- */

struct totals {
    uint64_t opened, closed, begun, ended;
    uint64_t connects, connect_failures, reuses, overflows;
    uint64_t log_dropped, limited;
    uint64_t ejections, ejected;
    uint64_t unhealthy;
};

static void add_listeners(struct totals *totals, const struct metrics *metrics)
{
    for (uint32_t i = 0; i < METRICS_CHUNKS; i++) {
        struct metrics_chunk *chunk =
            atomic_load_explicit(&metrics->listeners[i], memory_order_acquire);
        for (uint32_t j = 0; chunk != NULL && j < METRICS_CHUNK; j++) {
            const struct metrics_route *entry =
                atomic_load_explicit(&chunk->items[j], memory_order_acquire);
            if (entry == NULL)
                continue;
            totals->ended += metrics_read(&entry->active_ended);
            totals->begun += metrics_read(&entry->active_begun);
        }
    }
}

static void add_worker(struct totals *totals, const struct worker *worker)
{
    const struct metrics *metrics = worker->proxy.metrics;
    const struct pool_set *pools = &worker->proxy.pools;
    const struct metrics_door *door = atomic_load_explicit(&metrics->doors, memory_order_acquire);
    for (; door != NULL; door = atomic_load_explicit(&door->next, memory_order_acquire)) {
        totals->closed += metrics_read(&door->closed);
        totals->opened += metrics_read(&door->opened);
    }
    add_listeners(totals, metrics);
    totals->connects += metrics_read(&pools->connects);
    totals->connect_failures += metrics_read(&pools->connect_failures);
    totals->reuses += metrics_read(&pools->reuses);
    totals->overflows += metrics_read(&pools->overflows);
    totals->ejections += metrics_read(&pools->ejections);
    totals->ejected += metrics_read(&pools->out);
    totals->log_dropped += metrics_read(&metrics->log_dropped);
    totals->limited += metrics_read(&metrics->connections_limited);
}

static struct totals sum_workers(const struct status *status)
{
    struct totals totals = {0};
    struct worker *const *workers;
    uint32_t count = rollout_workers(config_rollout(status->config), &workers);
    for (uint32_t i = 0; i < count; i++)
        add_worker(&totals, workers[i]);
    totals.unhealthy = config_unhealthy(status->config);
    return totals;
}

/* -- the report -- */

static char *string(struct arena *arena, struct text text)
{
    return arena_string(arena, text);
}

static char *static_string(struct arena *arena, const char *words)
{
    return arena_string(arena, text_of(words));
}

static void fill_listeners(const struct snapshot *snapshot,
                           Nantian__Report__V1__DataPlaneReport *report, struct arena *arena)
{
    size_t count = 0, cap = 0;
    for (uint32_t i = 0; snapshot != NULL && i < snapshot->binding_count; i++)
        cap += snapshot->bindings[i]->listener_count;
    report->listeners = arena_array(arena, Nantian__Report__V1__ListenerState *, cap + 1);
    for (uint32_t i = 0; snapshot != NULL && i < snapshot->binding_count; i++) {
        const struct binding *binding = snapshot->bindings[i];
        char address[ADDRESS_TEXT_MAX];
        for (uint32_t j = 0; j < binding->listener_count; j++) {
            Nantian__Report__V1__ListenerState *state =
                arena_new(arena, Nantian__Report__V1__ListenerState);
            nantian__report__v1__listener_state__init(state);
            state->name = string(arena, binding->listeners[j]->resource);
            state->bound = true; /* what cannot be bound is in no snapshot that is served */
            state->address = string(arena, address_format(&binding->address, address));
            const char *why = binding->listeners[j]->unusable;
            if (why != NULL)
                state->why = static_string(arena, why);
            report->listeners[count++] = state;
        }
    }
    report->n_listeners = count;
}

static void fill_counters(const struct totals *totals, Nantian__Report__V1__DataPlaneReport *report,
                          struct arena *arena)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"requests", totals->begun},
        {"active_requests", totals->begun > totals->ended ? totals->begun - totals->ended : 0},
        {"downstream_connections", totals->opened - MIN(totals->closed, totals->opened)},
        {"upstream_connects", totals->connects},
        {"upstream_connect_failures", totals->connect_failures},
        {"endpoints_ejected", totals->ejected},
        {"endpoints_unhealthy", totals->unhealthy},
        {"access_log_dropped", totals->log_dropped},
    };
    report->counters = arena_array(arena, Nantian__Report__V1__Counter *, ARRAY_LEN(rows));
    report->n_counters = ARRAY_LEN(rows);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Nantian__Report__V1__Counter *counter = arena_new(arena, Nantian__Report__V1__Counter);
        nantian__report__v1__counter__init(counter);
        counter->name = static_string(arena, rows[i].name);
        counter->value = rows[i].value;
        report->counters[i] = counter;
    }
}

void status_fill_report(const struct status *status, Nantian__Report__V1__DataPlaneReport *report,
                        struct arena *arena)
{
    struct config_status config = config_status(status->config);
    const struct delta_client_counters *client = config_counters(status->config);
    const struct snapshot_version *version = config_version(status->config);
    struct totals totals = sum_workers(status);
    struct worker *const *workers;
    report->node = static_string(arena, status->options->node);
    report->product_version = static_string(arena, NANTIAN_VERSION);
    report->started = status->started_wall_ns / 1000000000;
    report->workers = rollout_workers(config_rollout(status->config), &workers);
    report->ready = status_is_ready(status);
    report->draining = status->is_draining;
    if (client != NULL) {
        report->refused = client->refused;
        report->refused_older = client->refused_older;
    }
    fill_counters(&totals, report, arena);
    fill_listeners(rollout_current(config_rollout(status->config)), report, arena);
    if (config.number == 0)
        return;
    char digest[33];
    digest_format(config.digest, digest);
    report->applied_digest = static_string(arena, digest);
    report->applied_at = config.applied_wall_ms;
    report->apply_us = config.apply_us;
    if (version != NULL)
        report->applied = version_to_message(version, arena);
}

/* -- the scrape -- */

struct samples {
    struct exposition_sample items[SAMPLES_MAX];
    size_t count;
};

static void add(struct samples *samples, const char *name, const char *help,
                enum exposition_kind kind, double value)
{
    CHECK(samples->count < SAMPLES_MAX);
    samples->items[samples->count++] =
        (struct exposition_sample){.name = name, .help = help, .kind = kind, .value = value};
}

static void add_labelled(struct samples *samples, const char *name, const char *help,
                         const char *labels, uint64_t value)
{
    add(samples, name, help, EXPOSITION_COUNTER, (double)value);
    samples->items[samples->count - 1].labels = labels;
}

static void add_config(struct samples *samples, const struct status *status)
{
    struct config_status config = config_status(status->config);
    const struct delta_client_counters *client = config_counters(status->config);
    struct delta_client_counters none = {0};
    if (client == NULL)
        client = &none;
    add(samples, "nantian_config_generation", "Number of the snapshot that is served.",
        EXPOSITION_GAUGE, (double)config.number);
    add(samples, "nantian_config_last_apply_timestamp_seconds",
        "When the last snapshot was served by every worker.", EXPOSITION_GAUGE,
        (double)config.applied_wall_ms / 1e3);
    add(samples, "nantian_config_apply_duration_seconds",
        "From the compiler to every worker, the last time.", EXPOSITION_GAUGE,
        (double)config.apply_us / 1e6);
    add_labelled(samples, "nantian_config_rejected_total", "Snapshots refused, by reason.",
                 "type=\"older\"", client->refused_older);
    add_labelled(samples, "nantian_config_rejected_total", NULL, "type=\"incomparable\"",
                 client->refused_incomparable);
    add_labelled(samples, "nantian_config_rejected_total", NULL, "type=\"mismatch\"",
                 client->refused_mismatch);
    add_labelled(samples, "nantian_config_rejected_total", NULL, "type=\"any\"", client->refused);
    add(samples, "nantian_state_unsaved", "1 while the snapshot cannot be kept on disk.",
        EXPOSITION_GAUGE, config.is_unsaved ? 1 : 0);
    add(samples, "nantian_xds_connected", "1 while a control plane is connected.", EXPOSITION_GAUGE,
        config.is_connected ? 1 : 0);
    add(samples, "nantian_xds_received_bytes_total", "Bytes of configuration received.",
        EXPOSITION_COUNTER, (double)client->bytes);
    add(samples, "nantian_xds_received_resources_total", "Resources received.", EXPOSITION_COUNTER,
        (double)client->resources);
    add(samples, "nantian_upstream_endpoints_unhealthy",
        "Endpoints that do not pass their health check.", EXPOSITION_GAUGE,
        config_unhealthy(status->config));
    add(samples, "nantian_ready", "1 while /readyz says yes.", EXPOSITION_GAUGE,
        status_is_ready(status) ? 1 : 0);
}

static void add_memory(struct samples *samples, const struct ceiling *ceiling)
{
    if (ceiling->max == 0)
        return; /* nobody measures */
    add(samples, "nantian_memory_used_bytes", "Memory that is this process's alone.",
        EXPOSITION_GAUGE, (double)ceiling->used);
    add(samples, "nantian_memory_max_bytes", "From there on new requests get 503.",
        EXPOSITION_GAUGE, (double)ceiling->max);
    add(samples, "nantian_memory_pressure",
        "0 none, 1 nothing is kept idle, 2 new requests get 503, 3 new connections are closed.",
        EXPOSITION_GAUGE, (double)ceiling->level);
}

static void add_upstream(struct samples *samples, const struct totals *totals)
{
    add_labelled(samples, "nantian_upstream_connections_total",
                 "Connections that requests asked for, by where they came from.",
                 "result=\"reused\"", totals->reuses);
    add_labelled(samples, "nantian_upstream_connections_total", NULL, "result=\"new\"",
                 totals->connects - MIN(totals->connects, totals->connect_failures));
    add_labelled(samples, "nantian_upstream_connections_total", NULL, "result=\"failed\"",
                 totals->connect_failures);
    add_labelled(samples, "nantian_upstream_connections_total", NULL, "result=\"overflow\"",
                 totals->overflows);
    add(samples, "nantian_upstream_ejections_total",
        "Endpoints that a worker stopped choosing for a while.", EXPOSITION_COUNTER,
        (double)totals->ejections);
    add(samples, "nantian_upstream_endpoints_ejected", "Endpoints out now, each worker's together.",
        EXPOSITION_GAUGE, (double)totals->ejected);
}

/* One per listener: when the first of its certificates ends. */
static void write_certificates(const struct snapshot *snapshot, struct builder *out)
{
    bool is_first = true;
    for (uint32_t i = 0; snapshot != NULL && i < snapshot->binding_count; i++) {
        for (uint32_t j = 0; j < snapshot->bindings[i]->listener_count; j++) {
            const struct listener_config *listener = snapshot->bindings[i]->listeners[j];
            if (listener->certificate_count == 0)
                continue;
            uint64_t end = UINT64_MAX;
            for (uint32_t k = 0; k < listener->certificate_count; k++)
                end = MIN(end, tls_certificate_not_after(listener->certificates[k]));
            if (is_first)
                builder_add(out,
                            TEXT("# HELP nantian_certificate_not_after_timestamp_seconds When a "
                                 "listener's certificate ends.\n"
                                 "# TYPE nantian_certificate_not_after_timestamp_seconds gauge\n"));
            is_first = false;
            builder_add(out, TEXT("nantian_certificate_not_after_timestamp_seconds{gateway=\""));
            exposition_escape(out, listener->gateway);
            builder_add(out, TEXT("\",listener=\""));
            exposition_escape(out, metrics_listener_label(listener));
            builder_printf(out, "\"} %llu\n", (unsigned long long)end);
        }
    }
}

static void write_state(struct text backend, const char *state, uint32_t count, struct builder *out)
{
    builder_add(out, TEXT("nantian_upstream_endpoints{backend=\""));
    exposition_escape(out, backend);
    builder_printf(out, "\",state=\"%s\"} %u\n", state, count);
}

/* Of backends with a health check, as the workers see them. */
static void write_health(const struct snapshot *snapshot, struct builder *out)
{
    uint32_t slots = snapshot == NULL ? 0 : backend_table_slots(snapshot->backends), written = 0;
    for (uint32_t slot = 0; slot < slots && written < LIMIT_METRIC_ROUTES; slot++) {
        const struct backend *backend = backend_table_get(snapshot->backends, slot);
        if (backend == NULL || backend->health_check == NULL)
            continue;
        if (written++ == 0)
            builder_add(out, TEXT("# HELP nantian_upstream_endpoints Endpoints of a backend with a "
                                  "health check, by what it found.\n"
                                  "# TYPE nantian_upstream_endpoints gauge\n"));
        uint32_t down = 0;
        for (uint32_t i = 0; i < backend->endpoint_count; i++)
            down += backend->endpoints[i].is_down;
        write_state(backend->name, "healthy", backend->endpoint_count - down, out);
        write_state(backend->name, "unhealthy", down, out);
    }
}

void status_write_metrics(const struct status *status, struct builder *out)
{
    struct samples samples = {.count = 0};
    struct totals totals = sum_workers(status);
    struct worker *const *workers;
    uint32_t count = rollout_workers(config_rollout(status->config), &workers);
    struct metrics **metrics = memory_alloc((count + 1) * sizeof(struct metrics *));
    for (uint32_t i = 0; i < count; i++)
        metrics[i] = workers[i]->proxy.metrics;
    add_config(&samples, status);
    add_upstream(&samples, &totals);
    add_memory(&samples, status->ceiling);
    struct exposition exposition = {
        .workers = metrics,
        .worker_count = count,
        .samples = samples.items,
        .sample_count = samples.count,
        .version = NANTIAN_VERSION,
        .tls_library = tls_library(),
        .started_wall_ns = status->started_wall_ns,
    };
    exposition_write(&exposition, out);
    write_certificates(rollout_current(config_rollout(status->config)), out);
    write_health(rollout_current(config_rollout(status->config)), out);
    free(metrics);
}
