/* One change at a time: what arrives while the workers adopt waits its turn. If a snapshot cannot
 * be served (a port in use), what was compiled of it is taken back, so that the compiler, the
 * client and the workers always speak of the same set. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/compile/compile.h"
#include "data/control_link.h"
#include "data/health_checks.h"
#include "data/upstream/resolve.h"
#include "xds/record.h"
#include "xds/state.h"
#include "xds/state_writer.h"

enum config_source { SOURCE_NONE, SOURCE_DISK, SOURCE_CONTROL, SOURCE_NAMES };

struct config {
    struct loop *loop;
    const struct options *options;
    void *owner;
    void (*on_applied)(void *owner), (*on_drained)(void *owner);
    struct rollout *rollout;
    struct compile *compile;
    struct control_link *control;
    struct delta_client *client; /* NULL until there is a link */
    struct state_writer *writer; /* NULL: nothing is kept */
    struct resolve *resolve;
    struct health_checks *checks;
    struct resource_set disk; /* what was loaded, until a client takes it */
    bool has_disk;
    bool may_write;  /* to the state directory: no other process does */
    bool is_unsaved; /* the last write failed */
    struct timer save_timer;

    enum config_source applying; /* what the workers adopt now */
    enum config_source applied;  /* the last they did */
    bool names_changed;
    const struct delta_offer *waiting; /* the client's offer, while the workers are busy */
    struct delta_offer waiting_offer;

    char *version, *next_version, *last_refusal; /* own */
    struct digest digest, next_digest;
    uint64_t applied_wall_ms, apply_us, began_ns, refused;

    void *link_owner;
    void (*on_link)(void *owner);
};

static void turn(struct config *config);

/* -- from edits to a snapshot -- */

static struct compile_edit *edits_of(const struct resource_edits *edits, bool is_undo,
                                     size_t *ret_count)
{
    struct compile_edit *list = memory_alloc((edits->count + 1) * sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const struct resource_edit *edit = &edits->items[i];
        const struct resource *to = is_undo ? edit->before : edit->after;
        const struct resource *either = resource_edit_either(edit);
        if (either->type == RESOURCE_SNAPSHOT)
            continue;
        list[count++] = (struct compile_edit){
            .type = (enum resource_type)either->type,
            .name = resource_name(either),
            .bytes = to == NULL ? TEXT_NONE : resource_bytes(to),
            .removed = to == NULL,
        };
    }
    *ret_count = count;
    return list;
}

static void want_name(void *owner, struct text backend, struct text dns_name)
{
    struct config *config = owner;
    resolve_want(config->resolve, backend, dns_name);
}

static void want_check(void *owner, struct backend *backend)
{
    struct config *config = owner;
    health_checks_want(config->checks, backend);
}

static void follow_names(struct config *config)
{
    health_checks_begin(config->checks);
    compile_health_walk(config->compile, config, want_check);
    health_checks_commit(config->checks);
    resolve_begin(config->resolve);
    compile_dns_walk(config->compile, config, want_name);
    resolve_commit(config->resolve);
}

static void take_back(struct config *config, const struct resource_edits *edits)
{
    struct snapshot *snapshot = NULL;
    struct faults faults;
    struct arena arena;
    size_t count;
    struct compile_edit *undo = edits_of(edits, true, &count);
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    enum err err = compile_apply(config->compile, undo, count, text_of(config->version),
                                 config->digest, &snapshot, &faults);
    CHECK(err == ERR_NONE); /* it was served until now */
    snapshot_unref(snapshot);
    faults_fini(&faults);
    arena_fini(&arena);
    free(undo);
}

static void keep(char **place, struct text text)
{
    char *kept = memory_string(text);
    free(*place);
    *place = kept;
}

/* Compiles and hands to the workers. ERR_AGAIN: on_done follows. */
static enum err apply(struct config *config, enum config_source source,
                      const struct resource_edits *edits, struct text version, struct digest digest,
                      struct faults *faults)
{
    struct snapshot *snapshot = NULL;
    size_t count;
    struct compile_edit *list = edits_of(edits, false, &count);
    config->began_ns = clock_monotonic_ns();
    enum err err = compile_apply(config->compile, list, count, version, digest, &snapshot, faults);
    free(list);
    if (err != ERR_NONE)
        return err;
    err = rollout_publish(config->rollout, snapshot, faults);
    snapshot_unref(snapshot);
    if (err != ERR_AGAIN) {
        take_back(config, edits);
        return err;
    }
    config->applying = source;
    keep(&config->next_version, version);
    config->next_digest = digest;
    follow_names(config);
    return ERR_AGAIN;
}

/* -- the workers' answer -- */

static void keep_on_disk(struct config *config)
{
    if (config->writer != NULL && config->may_write)
        state_writer_submit(config->writer, delta_client_accepted(config->client));
}

static void on_done(void *owner, struct snapshot *snapshot)
{
    struct config *config = owner;
    enum config_source source = config->applying;
    config->applying = SOURCE_NONE;
    config->apply_us = (clock_monotonic_ns() - config->began_ns) / 1000;
    config->applied_wall_ms = clock_wall_ns() / 1000000;
    if (source != SOURCE_NAMES)
        config->applied = source;
    keep(&config->version, text_of(config->next_version));
    config->digest = config->next_digest;
    log_info("snapshot applied", log_str("version", config->version),
             log_int("snapshot", (int64_t)snapshot->number),
             log_str("source", source == SOURCE_DISK    ? "disk"
                               : source == SOURCE_NAMES ? "names"
                                                        : "control"),
             log_int("apply_us", (int64_t)config->apply_us));
    if (source == SOURCE_CONTROL) {
        if (config->writer != NULL)
            state_writer_note(config->writer, delta_client_pending(config->client));
        delta_client_accept(config->client);
        keep_on_disk(config);
    }
    if (config->on_applied != NULL)
        config->on_applied(config->owner);
    turn(config);
}

static void on_drained(void *owner)
{
    struct config *config = owner;
    config->on_drained(config->owner);
}

static const struct rollout_events ROLLOUT_EVENTS = {.on_done = on_done, .on_drained = on_drained};

/* -- the control plane -- */

static void log_faults(const struct faults *faults, const char *message)
{
    for (size_t i = 0; i < faults->count && i < 20; i++)
        log_error(message, log_text("where", faults->items[i].where),
                  log_text("field", faults->items[i].field), log_text("why", faults->items[i].what),
                  log_text("hint", faults->items[i].hint));
}

static enum err apply_offer(struct config *config, const struct delta_offer *offer,
                            struct faults *faults)
{
    enum err err =
        apply(config, SOURCE_CONTROL, offer->edits, offer->version_text, offer->digest, faults);
    if (err != ERR_AGAIN)
        log_faults(faults, "snapshot refused");
    return err;
}

static enum err on_snapshot(void *owner, const struct delta_offer *offer, struct faults *faults)
{
    struct config *config = owner;
    if (!rollout_is_busy(config->rollout))
        return apply_offer(config, offer, faults);
    config->waiting_offer = *offer; /* `next` ends with this call; the rest stays */
    config->waiting_offer.next = NULL;
    config->waiting = &config->waiting_offer;
    return ERR_AGAIN;
}

static void on_refused(void *owner, const char *reason, struct text words)
{
    struct config *config = owner;
    config->refused++;
    keep(&config->last_refusal, words);
    log_error("snapshot refused; the one before stays", log_str("reason", reason),
              log_text("why", words));
}

static void on_connected(void *owner, bool connected, const char *why)
{
    (void)owner;
    if (connected)
        log_info("control plane connected", log_str("service", "delta"));
    else
        log_warn("control plane lost; traffic is served by the last snapshot",
                 log_str("why", why == NULL ? "" : why));
}

static const struct delta_client_events CLIENT_EVENTS = {
    .on_snapshot = on_snapshot,
    .on_connected = on_connected,
    .on_refused = on_refused,
};

/* What had to wait for the workers. */
static void turn(struct config *config)
{
    struct arena arena;
    struct faults faults;
    if (rollout_is_busy(config->rollout) || (config->waiting == NULL && !config->names_changed))
        return;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    if (config->waiting != NULL) {
        const struct delta_offer *offer = config->waiting;
        config->waiting = NULL;
        if (apply_offer(config, offer, &faults) != ERR_AGAIN)
            delta_client_refuse(config->client, &faults);
    } else {
        struct resource_edits none = {0};
        config->names_changed = false;
        if (apply(config, SOURCE_NAMES, &none, text_of(config->version), config->digest, &faults) !=
            ERR_AGAIN)
            log_faults(&faults, "new addresses cannot be used");
    }
    faults_fini(&faults);
    arena_fini(&arena);
}

static void on_resolved(void *owner, struct text backend, const struct address *addresses,
                        size_t count)
{
    struct config *config = owner;
    if (!compile_dns_resolved(config->compile, backend, addresses, count))
        return;
    config->names_changed = true;
    turn(config);
}

static void on_health(void *owner, struct text backend, uint64_t endpoint, bool is_up)
{
    struct config *config = owner;
    if (!compile_health_set(config->compile, backend, endpoint, is_up))
        return;
    config->names_changed = true;
    turn(config);
}

uint32_t config_unhealthy(const struct config *config)
{
    return config->checks == NULL ? 0 : health_checks_down(config->checks);
}

/* -- start -- */

static void on_control_link(void *owner)
{
    struct config *config = owner;
    struct delta_client_options client = {
        .loop = config->loop,
        .link = control_link_get(config->control),
        .node = text_of(config->options->node),
        .cluster = text_of(config->options->gateway == NULL ? "nantian" : config->options->gateway),
        .product_version = TEXT(NANTIAN_VERSION),
        .events = &CLIENT_EVENTS,
        .owner = config,
    };
    config->client = delta_client_new(&client);
    if (config->has_disk && !delta_client_restore(config->client, &config->disk))
        log_warn("the state on disk has no commit record",
                 log_str("dir", config->options->state_dir));
    resource_set_clear(&config->disk);
    config->has_disk = false;
    if (config->on_link != NULL)
        config->on_link(config->link_owner);
    link_start(control_link_get(config->control));
}

static void on_save_again(void *owner)
{
    keep_on_disk(owner);
}

static void on_written(void *owner, const char *why, uint64_t took_us)
{
    struct config *config = owner;
    if (why != NULL) {
        log_error("the snapshot cannot be kept on disk; the one before stays there",
                  log_str("why", why), log_int("retry_ms", LIMIT_STATE_RETRY_MS));
        loop_arm(config->loop, &config->save_timer, LIMIT_STATE_RETRY_MS);
    } else if (config->is_unsaved) {
        log_info("the snapshot is on disk again", log_int("took_us", (int64_t)took_us));
        loop_disarm(config->loop, &config->save_timer);
    } else {
        log_debug("snapshot kept on disk", log_int("took_us", (int64_t)took_us));
    }
    config->is_unsaved = why != NULL;
}

static bool prepare_state(struct config *config)
{
    const char *dir = config->options->state_dir;
    if (dir == NULL)
        return true;
    const char *why = state_prepare(dir);
    if (why != NULL) {
        log_error("the state directory cannot be used", log_str("dir", dir), log_str("why", why));
        return false;
    }
    config->writer = state_writer_new(config->loop, dir, on_written, config);
    return config->writer != NULL;
}

static struct compile *new_compile(const struct options *options)
{
    struct compile_options compile = {
        .pick = proxy_pick_certificate,
        .admit = proxy_admit_handshake,
        .addresses = options->default_addresses,
        .address_count = options->default_address_count,
        .zone = text_of(options->zone),
    };
    return compile_new(&compile);
}

struct config *config_new(const struct config_options *options)
{
    struct config *config = memory_new(struct config);
    config->loop = options->loop;
    config->options = options->options;
    config->owner = options->owner;
    config->on_applied = options->on_applied;
    config->on_drained = options->on_drained;
    config->may_write = options->inherited == NULL;
    timer_init(&config->save_timer, config, on_save_again);
    resource_set_init(&config->disk);
    keep(&config->version, TEXT(""));
    keep(&config->last_refusal, TEXT(""));
    struct rollout_options rollout = {
        .loop = config->loop,
        .workers = config->options->workers,
        .access_log = config->options->access_log,
        .log_as_text = config->options->log_as_text,
        .node = text_of(config->options->node),
        .handshake_rate = config->options->handshake_rate,
        .inherited = options->inherited,
        .events = &ROLLOUT_EVENTS,
        .owner = config,
    };
    config->rollout = rollout_new(&rollout);
    if (config->rollout == NULL) {
        log_error("the workers cannot be started", log_str("why", strerrordesc_np(errno)),
                  log_str("access_log", config->options->access_log));
        config_free(config);
        return NULL;
    }
    config->compile = new_compile(config->options);
    config->checks = health_checks_new(config->loop, on_health, config);
    config->resolve = resolve_new(config->loop, on_resolved, config);
    config->control = control_link_new(config->loop, config->options, config, on_control_link);
    if (config->resolve == NULL || config->control == NULL || !prepare_state(config)) {
        config_free(config);
        return NULL;
    }
    return config;
}

static void serve_disk(struct config *config, struct faults *faults)
{
    struct resource_set empty;
    struct resource_edits edits = {0};
    const struct resource *record =
        resource_set_get(&config->disk, RESOURCE_SNAPSHOT, TEXT(TYPES_SNAPSHOT_NAME));
    struct record read;
    if (record == NULL || record_read(resource_bytes(record), faults->arena, &read) != ERR_NONE) {
        resource_set_clear(&config->disk);
        return;
    }
    resource_set_init(&empty);
    resource_set_diff(&empty, &config->disk, &edits);
    enum err err = apply(config, SOURCE_DISK, &edits, version_format(&read.version, faults->arena),
                         resource_sums_digest(&config->disk.sums), faults);
    config->has_disk = err == ERR_AGAIN;
    if (!config->has_disk) {
        log_faults(faults, "the snapshot on disk cannot be served");
        resource_set_clear(&config->disk);
    }
    resource_edits_fini(&edits);
    resource_set_fini(&empty);
}

void config_start(struct config *config)
{
    struct arena arena;
    struct faults faults;
    if (config->options->state_dir != NULL) {
        struct state_loaded loaded = state_load(config->options->state_dir, &config->disk);
        if (loaded.why_current != NULL && !loaded.fresh)
            log_warn("the newest snapshot on disk cannot be used",
                     log_str("why", loaded.why_current),
                     log_str("previous", loaded.loaded ? "used instead" : "not usable either"));
        if (loaded.why_log != NULL)
            log_warn("the newest snapshots on disk are lost", log_str("why", loaded.why_log));
        arena_init(&arena, 0);
        faults_init(&faults, &arena);
        if (loaded.loaded)
            serve_disk(config, &faults);
        faults_fini(&faults);
        arena_fini(&arena);
    }
    control_link_start(config->control);
}

void config_keep(struct config *config)
{
    config->may_write = true;
    if (config->applied == SOURCE_CONTROL)
        keep_on_disk(config);
}

void config_retire(struct config *config)
{
    config->applying = SOURCE_NONE; /* answers that still come change nothing */
    config->waiting = NULL;
    config->names_changed = false;
    config->on_applied = NULL;
    config->on_link = NULL;
    delta_client_free(config->client);
    config->client = NULL;
    control_link_free(config->control);
    config->control = NULL;
    health_checks_free(config->checks);
    config->checks = NULL;
    resolve_free(config->resolve);
    config->resolve = NULL;
    state_writer_free(config->writer);
    config->writer = NULL;
    loop_disarm(config->loop, &config->save_timer);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    config_retire(config);
    rollout_free(config->rollout);
    compile_free(config->compile);
    resource_set_fini(&config->disk);
    free(config->version);
    free(config->next_version);
    free(config->last_refusal);
    free(config);
}

/* -- questions -- */

struct rollout *config_rollout(const struct config *config)
{
    return config->rollout;
}

struct config_status config_status(const struct config *config)
{
    struct link *link = config_link(config);
    const char *none = config->control == NULL ? "retired" : control_link_why(config->control);
    return (struct config_status){
        .version = text_of(config->version),
        .digest = config->digest,
        .number =
            rollout_current(config->rollout) == NULL ? 0 : rollout_current(config->rollout)->number,
        .applied_wall_ms = config->applied_wall_ms,
        .apply_us = config->apply_us,
        .refused = config->refused,
        .is_unsaved = config->is_unsaved,
        .from_disk = config->applied == SOURCE_DISK,
        .is_connected = config->client != NULL && delta_client_connected(config->client),
        .why_not = link == NULL ? none : link_last_error(link),
        .last_refusal = text_of(config->last_refusal),
    };
}

const struct delta_client_counters *config_counters(const struct config *config)
{
    return config->client == NULL ? NULL : delta_client_counters(config->client);
}

const struct snapshot_version *config_version(const struct config *config)
{
    return config->client == NULL ? NULL : delta_client_version(config->client);
}

struct link *config_link(const struct config *config)
{
    return config->control == NULL ? NULL : control_link_get(config->control);
}

void config_on_link(struct config *config, void *owner, void (*on_link)(void *owner))
{
    config->link_owner = owner;
    config->on_link = on_link;
    if (config->client != NULL)
        on_link(owner);
}
