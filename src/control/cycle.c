/* The control plane on one screen: a change of the store is translated, what differs is published,
 * and what data planes answer comes back as statuses. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cycle.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

static void publish_cluster(struct cycle *cycle, const struct outcome_edits *edits)
{
    struct publish_label label;
    label.is_raised = kube_versions(cycle->kube, &label.version, &label.seen);
    publish_push(cycle->publish, cycle->outcome, edits, &label);
    kube_take(cycle->kube, cycle->outcome, edits);
    kube_retell(cycle->kube); /* perhaps what others' data planes run is what we have now */
}

/* A takeover does not take back what stands: a Gateway whose status says Programmed, of its newest
 * generation, was confirmed to whoever led before. True: some are. */
static bool inherit(struct cycle *cycle)
{
    struct store_list gateways = store_list(cycle->store, KIND_GATEWAY);
    bool is_any = false;
    for (size_t i = 0; i < gateways.count; i++) {
        const struct kind_meta *meta = &gateways.items[i]->meta;
        struct store_key key = {KIND_GATEWAY, meta->namespace, meta->name};
        if (!outcome_wants_programmed(cycle->outcome, meta->namespace, meta->name) ||
            !kube_says(cycle->kube, key, "Programmed"))
            continue;
        outcome_set_programmed(cycle->outcome, meta->namespace, meta->name,
                               outcome_revision(cycle->outcome));
        is_any = true;
    }
    cycle->inherits = false;
    return is_any;
}

void cycle_run(struct cycle *cycle)
{
    if (cycle->kube != NULL && !kube_is_ready(cycle->kube))
        return; /* on_change comes when it is */
    uint64_t began = clock_monotonic_ns();
    const struct outcome_edits *edits = NULL;
    if (cycle->outcome == NULL) {
        struct translate_options options = *cycle->translate;
        if (cycle->bundle != NULL)
            options.bundle = text_of(cycle->bundle);
        cycle->outcome = translate(cycle->store, &options);
        edits = outcome_edits(cycle->outcome);
    } else {
        struct store_changes changes = store_changes(cycle->store);
        edits = translate_apply(cycle->outcome, cycle->store, &changes);
    }
    store_changes_clear(cycle->store);
    cycle->translated += edits->translated;
    if (cycle->kube != NULL)
        publish_cluster(cycle, edits);
    else
        publish_push(cycle->publish, cycle->outcome, edits, NULL);
    cycle->runs++;
    cycle->last_us = (clock_monotonic_ns() - began) / 1000;
    if (cycle->inherits && inherit(cycle))
        cycle_run(cycle); /* before a status is written */
}

static void log_faults(struct cycle *cycle)
{
    struct arena arena;
    struct faults faults;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    files_faults(cycle->files, &faults);
    for (size_t i = 0; i < faults.count; i++) {
        const struct fault *fault = &faults.items[i];
        log_at(fault->level == FAULT_ERROR ? LOG_ERROR : LOG_WARN,
               fault->level == FAULT_ERROR ? "configuration error" : "configuration warning",
               log_text("file", fault->file), log_place("line", fault->line),
               log_place("column", fault->column), log_str("code", fault->code),
               log_text("object", fault->where), log_text("field", fault->field),
               log_text("what", fault->what), log_text("hint", fault->hint));
    }
    faults_fini(&faults);
    arena_fini(&arena);
}

static void on_change(void *owner, struct files *files)
{
    (void)files;
    struct cycle *cycle = owner;
    log_faults(cycle);
    if (timer_is_armed(&cycle->retry) && cycle->retry_ms > LIMIT_PORT_RETRY_MIN_MS)
        loop_arm(cycle->loop, &cycle->retry,
                 LIMIT_PORT_RETRY_MIN_MS); /* once, however many edits */
    cycle->retry_ms = LIMIT_PORT_RETRY_MIN_MS;
    cycle_run(cycle);
}

static void on_cluster_change(void *owner)
{
    cycle_run(owner);
}

static void on_stopped(void *owner)
{
    loop_stop(((struct cycle *)owner)->loop);
}

static void on_credentials(void *owner, struct text chain, struct text key, struct text secret)
{
    struct cycle *cycle = owner;
    cycle->on_credentials(cycle->owner, chain, key, secret);
}

static void on_bundle(void *owner, struct text version)
{
    struct cycle *cycle = owner;
    free(cycle->bundle);
    cycle->bundle = version.data == NULL ? NULL : memory_string(version);
    if (cycle->outcome == NULL)
        return;
    outcome_set_bundle(cycle->outcome, version);
    loop_defer(cycle->loop, &cycle->again);
}

/* True: that is news, and it is enough. */
static bool program_one(struct cycle *cycle, struct text namespace, struct text name,
                        const void *what)
{
    const uint64_t *revision = what;
    if (!outcome_wants_programmed(cycle->outcome, namespace, name))
        return false;
    outcome_set_programmed(cycle->outcome, namespace, name, *revision);
    return !outcome_wants_programmed(cycle->outcome, namespace, name);
}

/* What stands before and after the slash: of a class, nothing and its name. */
static struct store_key key_of(struct text fleet)
{
    struct text name = fleet, namespace = TEXT_NONE;
    (void)text_split(&name, '/', &namespace);
    return (struct store_key){namespace.len > 0 ? KIND_GATEWAY : KIND_GATEWAY_CLASS, namespace,
                              name};
}

/* Calls for each Gateway that has these data planes; empty: for all. True: one of the calls did. */
static bool each_gateway(struct cycle *cycle, struct text fleet,
                         bool (*visit)(struct cycle *cycle, struct text namespace, struct text name,
                                       const void *what),
                         const void *what)
{
    struct store_key key = key_of(fleet);
    bool is_any = false;
    if (key.kind == KIND_GATEWAY)
        return text_equal(outcome_fleet(cycle->outcome, key.namespace, key.name), fleet) &&
               visit(cycle, key.namespace, key.name, what);
    struct store_list gateways = store_list(cycle->store, KIND_GATEWAY);
    for (size_t i = 0; i < gateways.count; i++) {
        const struct kind_meta *meta = &gateways.items[i]->meta;
        if (fleet.len == 0 ||
            text_equal(outcome_fleet(cycle->outcome, meta->namespace, meta->name), fleet))
            is_any |= visit(cycle, meta->namespace, meta->name, what);
    }
    return is_any;
}

/* Data planes of a fleet run what was made at `revision`. True: that is news. */
static bool program(struct cycle *cycle, struct text fleet, uint64_t revision)
{
    bool is_news = each_gateway(cycle, fleet, program_one, &revision);
    if (is_news) /* the statuses that now say Programmed come out of the next run */
        loop_defer(cycle->loop, &cycle->again);
    return is_news;
}

static void on_held(void *owner)
{
    struct cycle *cycle = owner;
    cycle->inherits = true;
    if (cycle->outcome != NULL)
        cycle_run(cycle);
}

static void on_statement(void *owner, const struct statement *statement)
{
    struct cycle *cycle = owner;
    for (size_t i = 0; cycle->outcome != NULL && i < statement->cut_count; i++) {
        const struct statement_cut *cut = &statement->cuts[i];
        uint64_t revision;
        if (!publish_covered(cycle->publish, &cut->seen, cut->digest, &revision))
            continue;
        for (size_t k = 0; k < cut->gateway_count; k++)
            (void)program(cycle, cut->gateways[k], revision);
    }
    for (size_t i = 0; cycle->outcome != NULL && i < statement->refusal_count; i++) {
        const struct statement_refusal *refusal = &statement->refusals[i];
        if (outcome_refuse(cycle->outcome, refusal->type, refusal->name, refusal->why,
                           &refusal->digest))
            loop_defer(cycle->loop, &cycle->again);
    }
}

static uint64_t count_nodes(void *owner)
{
    return delta_server_streams(publish_server(((struct cycle *)owner)->publish));
}

/* What a fleet is refused, see kube.h. */
struct refusal {
    struct text why;
    bool is_taken;
};

static bool refuse_one(struct cycle *cycle, struct text namespace, struct text name,
                       const void *what)
{
    const struct refusal *refusal = what;
    return refusal->is_taken ? outcome_set_taken(cycle->outcome, namespace, name, refusal->why)
                             : outcome_set_refused(cycle->outcome, namespace, name, refusal->why);
}

static void on_fleet_refused(void *owner, struct text fleet, struct text why, bool is_taken)
{
    struct cycle *cycle = owner;
    const struct refusal refusal = {why, is_taken};
    if (each_gateway(cycle, fleet, refuse_one, &refusal))
        loop_defer(cycle->loop, &cycle->again);
}

static void on_identity(void *owner, uint64_t ticket, struct text fleet, const char *why)
{
    struct cycle *cycle = owner;
    publish_answer(cycle->publish, ticket, fleet, why);
}

static void on_stranger(void *owner, uint64_t ticket, struct text token)
{
    kube_ask(((struct cycle *)owner)->kube, ticket, token);
}

/* What the machine of the data plane refused may go now; if not, it is refused again. */
static void on_retry(void *owner)
{
    struct cycle *cycle = owner;
    cycle->retry_ms = MIN(cycle->retry_ms * 2, LIMIT_PORT_RETRY_MAX_MS);
    if (outcome_forgive(cycle->outcome, RESOURCE_LISTENER))
        cycle_run(cycle);
}

/* Of a cluster the replicas tell each other what was refused, and what a pod's ports are is settled
 * before it runs. */
static void retry_later(struct cycle *cycle)
{
    if (cycle->kube == NULL && !timer_is_armed(&cycle->retry))
        loop_arm(cycle->loop, &cycle->retry, cycle->retry_ms);
}

static void on_refused(void *owner, enum resource_type type, struct text name, struct text why,
                       bool is_local)
{
    struct cycle *cycle = owner;
    struct statement_refusal refusal = {.type = type, .name = name, .why = why};
    const struct store_key *about = outcome_owner(cycle->outcome, type, name);
    if (cycle->kube != NULL && about != NULL)
        kube_tell(cycle->kube, *about, true, "SnapshotRejected", why);
    if (!outcome_resource_digest(cycle->outcome, type, name, &refusal.digest) ||
        !outcome_refuse(cycle->outcome, type, name, why, &refusal.digest))
        return;
    cycle->refused = true;
    if (is_local)
        retry_later(cycle);
    if (cycle->kube != NULL)
        kube_refused(cycle->kube, &refusal);
}

static void on_refusals_end(void *owner)
{
    struct cycle *cycle = owner;
    if (cycle->refused)
        loop_defer(cycle->loop, &cycle->again);
}

static void on_again(void *owner)
{
    struct cycle *cycle = owner;
    cycle->refused = false;
    cycle_run(cycle);
}

static void on_applied(void *owner, const struct publish_applied *applied)
{
    struct cycle *cycle = owner;
    bool is_news = program(cycle, applied->fleet, applied->revision);
    if (cycle->kube != NULL)
        kube_applied(cycle->kube, applied->fleet, &applied->seen, applied->digest, is_news);
}

static void on_behind(void *owner, const struct snapshot_version *held)
{
    kube_refused_older(((struct cycle *)owner)->kube, held);
}

static void on_node(void *owner, struct text fleet, struct text node, bool joined)
{
    struct cycle *cycle = owner;
    if (cycle->kube != NULL)
        kube_tell(cycle->kube, key_of(fleet), !joined, joined ? "DataPlaneJoined" : "DataPlaneLost",
                  node);
}

bool cycle_init(struct cycle *cycle, const struct cycle_options *options)
{
    static const struct kube_events kube_events = {
        on_cluster_change, on_stopped,  on_credentials,   on_bundle,  on_held,
        on_statement,      count_nodes, on_fleet_refused, on_identity};
    static const struct publish_events events = {on_refused, on_refusals_end, on_applied, on_behind,
                                                 on_node};
    *cycle = (struct cycle){
        .loop = options->loop,
        .translate = options->translate,
        .on_credentials = options->on_credentials,
        .owner = options->owner,
    };
    cycle->store = store_new();
    cycle->publish = publish_new(&(struct publish_options){
        .loop = options->loop,
        .state_dir = options->directory.len > 0 ? options->state_dir : TEXT_NONE,
        .per_gateway = options->directory.len == 0,
        .events = &events,
        .owner = cycle,
    });
    defer_init(&cycle->again, cycle, on_again);
    timer_init(&cycle->retry, cycle, on_retry);
    cycle->retry_ms = LIMIT_PORT_RETRY_MIN_MS;
    if (options->directory.len > 0) {
        cycle->files = files_new(options->directory, KIND_LENIENT, cycle->store);
        files_keep(cycle->files, options->state_dir);
        return true;
    }
    cycle->kube = kube_new(&(struct kube_options){
        .loop = options->loop,
        .kubeconfig = options->kubeconfig,
        .context = options->context,
        .proxy_image = options->proxy_image,
        .xds_port = options->xds_port,
        .certificate_s = options->certificate_s,
        .relist_ms = options->relist_ms,
        .lease_ms = options->lease_ms,
        .controller = options->translate->controller.len > 0 ? options->translate->controller
                                                             : TEXT(TRANSLATE_CONTROLLER),
        .store = cycle->store,
        .events = &kube_events,
        .owner = cycle,
    });
    publish_guard(cycle->publish, on_stranger, cycle);
    return cycle->kube != NULL;
}

void cycle_fini(struct cycle *cycle)
{
    loop_undefer(cycle->loop, &cycle->again);
    loop_disarm(cycle->loop, &cycle->retry);
    kube_free(cycle->kube);
    cycle->kube = NULL; /* data planes that leave below are told to nobody */
    publish_free(cycle->publish);
    files_free(cycle->files);
    outcome_free(cycle->outcome);
    store_free(cycle->store);
    free(cycle->bundle);
}

void cycle_stop(struct cycle *cycle)
{
    if (cycle->kube != NULL)
        kube_stop(cycle->kube);
    else
        loop_stop(cycle->loop);
}

bool cycle_start(struct cycle *cycle)
{
    static const struct files_events events = {.on_change = on_change};
    if (cycle->kube != NULL) {
        kube_start(cycle->kube);
        return true;
    }
    if (!files_load(cycle->files))
        return false;
    log_faults(cycle);
    cycle_run(cycle);
    return files_watch(cycle->files, cycle->loop, &events, cycle);
}
