/* Which kinds, and what becomes of each object that is told. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/mirror.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "control/kind/registry.h"
#include "control/kube/vault.h"

struct shelf {
    struct mirror *mirror;
    enum kind_id kind;
    struct reflector *reflector; /* owns; NULL: a number that is no kind */
    struct arena arena;          /* of the names in `seen` */
    struct map listed;           /* "namespace/name" of the list in hand */
    uint64_t label, seen;        /* see mirror_versions */
    uint64_t gaps;               /* changes that only a list told */
    bool is_listing;
    bool is_changed; /* by the list in hand */
    bool is_asked;   /* a list that is to come was asked for */
    bool is_counted; /* among those that were listed */
};

struct mirror {
    struct loop *loop;
    struct store *store; /* borrows */
    const struct mirror_events *events;
    void *owner;
    struct vault *vault; /* owns: which Secrets are kept */
    bool is_vault_open;  /* what names Secrets was listed, so they are, too */
    bool is_sweep_due;   /* something may name other Secrets than before */
    uint32_t relist_ms;
    struct shelf shelves[KIND_COUNT];
    size_t kind_count, listed_count;
    struct timer gather;     /* armed: a change waits for others */
    uint64_t waits_since_ms; /* the change in hand, for a Secret; 0: it does not */
    bool synced;
};

/* Not put off by what follows: under a steady stream of changes each is as soon live as alone. */
static void touch(struct mirror *mirror)
{
    if (mirror->synced && !timer_is_armed(&mirror->gather))
        loop_arm(mirror->loop, &mirror->gather, LIMIT_KUBE_GATHER_MS);
}

static void on_gathered(void *owner)
{
    struct mirror *mirror = owner;
    if (!mirror_is_whole(mirror))
        return; /* the end of the list comes here again */
    uint64_t now = MAX(loop_now_ms(mirror->loop), (uint64_t)1);
    if (mirror->waits_since_ms == 0)
        mirror->waits_since_ms = now;
    if (vault_is_waiting(mirror->vault) && now - mirror->waits_since_ms < LIMIT_KUBE_SECRET_MS) {
        loop_arm(mirror->loop, &mirror->gather, LIMIT_KUBE_GATHER_MS);
        return;
    }
    mirror->waits_since_ms = 0;
    if (mirror->is_sweep_due)
        vault_sweep(mirror->vault);
    mirror->is_sweep_due = false;
    mirror->events->on_change(mirror->owner);
}

static struct store_key key_of(const struct shelf *shelf, const struct value *object)
{
    const struct value *metadata = value_get(object, "metadata");
    struct text namespace = value_string(value_get(metadata, "namespace"));
    return (struct store_key){shelf->kind, kind_is_namespaced(shelf->kind) ? namespace : TEXT_NONE,
                              value_string(value_get(metadata, "name"))};
}

static struct text path_of(struct arena *arena, struct store_key key)
{
    return arena_printf(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(key.namespace), TEXT_ARG(key.name));
}

static void end_list(struct shelf *shelf)
{
    map_fini(&shelf->listed);
    arena_fini(&shelf->arena);
    map_init(&shelf->listed);
    arena_init(&shelf->arena, 0);
}

static void on_list(void *owner)
{
    struct shelf *shelf = owner;
    end_list(shelf);
    shelf->is_listing = true;
    shelf->is_changed = false;
}

static void log_errors(const struct faults *faults)
{
    for (size_t i = 0; i < faults->count; i++) {
        const struct fault *fault = &faults->items[i];
        if (fault->level == FAULT_ERROR)
            log_error("an object cannot be used as it is", log_str("code", fault->code),
                      log_text("object", fault->where), log_text("field", fault->field),
                      log_text("what", fault->what));
    }
}

static bool names_secrets(enum kind_id kind)
{
    return kind == KIND_GATEWAY || kind == KIND_LISTENER_SET || kind == KIND_BACKEND_TLS_POLICY ||
           kind == KIND_X_BACKEND || kind == KIND_SECURITY_POLICY;
}

static void on_put(struct mirror *mirror, const struct kind_object *object)
{
    touch(mirror);
    if (!mirror->is_vault_open || !names_secrets(object->id))
        return;
    mirror->is_sweep_due = true;
    vault_look(mirror->vault,
               (struct store_key){object->id, object->meta.namespace, object->meta.name});
}

/* An object with errors keeps its last good form, as in files; the API server's schemas let hardly
 * any through. True: something changed. */
static bool put(struct mirror *mirror, const struct value *object)
{
    bool is_changed = false;
    struct kind_objects objects = {0};
    struct faults faults;
    struct arena arena;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    kind_decode(object, TEXT_NONE, KIND_LENIENT, &objects, &faults);
    int64_t now = (int64_t)(loop_wall_ns(mirror->loop) / 1000000000u);
    for (size_t i = 0; i < objects.count; i++) {
        if (objects.items[i]->error_count > 0)
            log_errors(&faults);
        else if (store_put(mirror->store, kind_object_ref(objects.items[i]), now)) {
            on_put(mirror, objects.items[i]);
            is_changed = true;
        }
    }
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
    return is_changed;
}

static uint64_t version_of(struct text version)
{
    uint64_t number = 0;
    return text_to_u64(version, &number) ? number : 0;
}

/* A Secret from beyond what the watch has told is not used yet: what is published of it would have
 * a name that others give to what was before it, and a data plane that goes to them would be moved
 * back. Its event is on the way. */
static bool on_secret(void *owner, const struct value *secret)
{
    struct mirror *mirror = owner;
    const struct shelf *shelf = &mirror->shelves[KIND_SECRET];
    struct store_key key = key_of(&mirror->shelves[KIND_SECRET], secret);
    const struct kind_object *held = store_get(mirror->store, key.kind, key.namespace, key.name);
    struct text version = value_string(value_get(value_get(secret, "metadata"), "resourceVersion"));
    if (shelf->is_listing || version_of(version) > shelf->seen)
        return false;
    if (held == NULL || version_of(held->meta.resource_version) < version_of(version))
        (void)put(mirror, secret);
    return true;
}

static void on_object(void *owner, const struct value *object, uint64_t version)
{
    struct shelf *shelf = owner;
    struct mirror *mirror = shelf->mirror;
    struct store_key key = key_of(shelf, object);
    bool is_kept = shelf->kind != KIND_SECRET || vault_is_named(mirror->vault, key);
    bool is_changed = is_kept && put(mirror, object);
    if (shelf->is_listing) {
        map_put(&shelf->listed, path_of(&shelf->arena, key), shelf);
        shelf->gaps += shelf->is_counted && is_changed && version <= shelf->seen;
        shelf->is_changed |= is_changed || version > shelf->label;
    } else if (version != 0) {
        shelf->label = shelf->seen = version;
    }
    if (!is_kept)
        return;
    if (shelf->kind == KIND_SECRET)
        vault_forget(mirror->vault, key);
    if (mirror->events->on_object != NULL)
        mirror->events->on_object(mirror->owner, shelf->kind, object);
}

static void take_out(struct mirror *mirror, struct store_key key)
{
    if (mirror->events->on_removed != NULL)
        mirror->events->on_removed(mirror->owner, key);
    if (key.kind == KIND_SECRET)
        vault_forget(mirror->vault, key);
    mirror->is_sweep_due |= names_secrets(key.kind);
    if (store_remove(mirror->store, key))
        touch(mirror);
}

static void on_removed(void *owner, const struct value *object, uint64_t version)
{
    struct shelf *shelf = owner;
    if (version != 0)
        shelf->label = shelf->seen = version;
    take_out(shelf->mirror, key_of(shelf, object));
}

static void count(struct shelf *shelf)
{
    struct mirror *mirror = shelf->mirror;
    if (shelf->is_counted)
        return;
    shelf->is_counted = true;
    mirror->listed_count++;
    if (mirror->listed_count + 1 == mirror->kind_count && !mirror->is_vault_open) {
        mirror->is_vault_open = true;
        reflector_start(mirror->shelves[KIND_SECRET].reflector);
    }
    if (mirror->listed_count < mirror->kind_count)
        return;
    mirror->synced = true;
    loop_arm(mirror->loop, &mirror->gather, 1);
}

static void on_listed(void *owner, uint64_t version)
{
    struct shelf *shelf = owner;
    struct mirror *mirror = shelf->mirror;
    struct store_list list = store_list(mirror->store, shelf->kind);
    struct arena arena;
    arena_init(&arena, 0);
    size_t gone_count = 0;
    struct store_key *gone = arena_array(&arena, struct store_key, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        const struct kind_meta *meta = &list.items[i]->meta;
        struct store_key key = {shelf->kind, meta->namespace, meta->name};
        if (map_get(&shelf->listed, path_of(&arena, key)) == NULL)
            gone[gone_count++] = (struct store_key){shelf->kind, arena_text(&arena, key.namespace),
                                                    arena_text(&arena, key.name)};
    }
    for (size_t i = 0; i < gone_count; i++)
        take_out(mirror, gone[i]);
    arena_fini(&arena);
    end_list(shelf);
    bool is_changed = gone_count > 0 || shelf->is_changed || version < shelf->seen;
    shelf->gaps += shelf->is_counted && version == shelf->seen ? gone_count : 0;
    if (version != 0 && (is_changed || shelf->label == 0))
        shelf->label = version;
    if (version != 0)
        shelf->seen = version;
    shelf->is_listing = shelf->is_asked = false;
    count(shelf);
    touch(mirror); /* a burst may have waited for the end of this */
    if (mirror->events->on_listed != NULL)
        mirror->events->on_listed(mirror->owner);
}

static void on_version(void *owner, uint64_t version)
{
    ((struct shelf *)owner)->seen = version;
}

static const char *selector_of(enum kind_id kind)
{
    if (kind == KIND_SECRET)
        return "fieldSelector=type!%3Dkubernetes.io/service-account-token,"
               "type!%3Dhelm.sh/release.v1,type!%3Dkubernetes.io/dockerconfigjson";
    if (kind == KIND_ENDPOINT_SLICE)
        return "labelSelector=kubernetes.io/service-name";
    return NULL;
}

static void add_kind(struct mirror *mirror, struct client *client, const struct registry_kind *kind)
{
    static const struct reflector_events EVENTS = {on_list, on_object, on_removed, on_listed,
                                                   on_version};
    struct arena arena;
    arena_init(&arena, 0);
    struct shelf *shelf = &mirror->shelves[kind->id];
    shelf->mirror = mirror;
    shelf->kind = kind->id;
    map_init(&shelf->listed);
    arena_init(&shelf->arena, 0);
    shelf->reflector = reflector_new(&(struct reflector_options){
        .loop = mirror->loop,
        .client = client,
        .group = kind->group,
        .versions = kind->versions,
        .version_count = ARRAY_LEN(kind->versions),
        .plural = reflector_plural(&arena, kind->name).data,
        .selector = selector_of(kind->id),
        .relist_ms = mirror->relist_ms,
        .events = &EVENTS,
        .owner = shelf,
    });
    mirror->kind_count++;
    arena_fini(&arena);
}

struct mirror *mirror_new(const struct mirror_options *options)
{
    struct mirror *mirror = memory_new(struct mirror);
    mirror->loop = options->loop;
    mirror->store = options->store;
    mirror->relist_ms = options->relist_ms;
    mirror->events = options->events;
    mirror->owner = options->owner;
    mirror->vault = vault_new(&(struct vault_options){.loop = options->loop,
                                                      .client = options->client,
                                                      .store = options->store,
                                                      .on_secret = on_secret,
                                                      .owner = mirror});
    timer_init(&mirror->gather, mirror, on_gathered);
    for (int id = KIND_NONE + 1; id < KIND_COUNT; id++) {
        const struct registry_kind *kind = registry_get((enum kind_id)id);
        if (kind != NULL)
            add_kind(mirror, options->client, kind);
    }
    return mirror;
}

void mirror_free(struct mirror *mirror)
{
    if (mirror == NULL)
        return;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        struct shelf *shelf = &mirror->shelves[i];
        reflector_free(shelf->reflector);
        map_fini(&shelf->listed);
        if (shelf->mirror != NULL)
            arena_fini(&shelf->arena);
    }
    vault_free(mirror->vault);
    loop_disarm(mirror->loop, &mirror->gather);
    free(mirror);
}

/* Secrets come last: only of those that something names is more kept than their names. */
void mirror_start(struct mirror *mirror)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (mirror->shelves[i].reflector != NULL && i != KIND_SECRET)
            reflector_start(mirror->shelves[i].reflector);
}

bool mirror_is_whole(const struct mirror *mirror)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (mirror->shelves[i].is_listing)
            return false;
    return mirror->synced;
}

bool mirror_is_waiting(const struct mirror *mirror)
{
    return timer_is_armed(&mirror->gather) && vault_is_waiting(mirror->vault);
}

void mirror_versions(const struct mirror *mirror, struct snapshot_version *ret_label,
                     struct snapshot_version *ret_seen)
{
    *ret_label = *ret_seen = (struct snapshot_version){0};
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct shelf *shelf = &mirror->shelves[i];
        struct text name = shelf->label == 0 ? TEXT_NONE : text_of(kind_name(shelf->kind));
        if (shelf->label != 0)
            CHECK(version_set(ret_label, name, shelf->label) &&
                  version_set(ret_seen, name, shelf->seen));
    }
}

static struct shelf *shelf_of(struct mirror *mirror, const char *kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (mirror->shelves[i].reflector != NULL &&
            strcmp(kind_name(mirror->shelves[i].kind), kind) == 0)
            return &mirror->shelves[i];
    return NULL;
}

static void ask(struct shelf *shelf)
{
    if (shelf->is_asked)
        return;
    shelf->is_asked = true;
    if (shelf->kind != KIND_SECRET || shelf->mirror->is_vault_open) /* else their turn will come */
        reflector_relist(shelf->reflector);
}

bool mirror_covers(struct mirror *mirror, const struct snapshot_version *held, bool asks)
{
    bool is_covered = true;
    for (uint32_t i = 0; i < held->count; i++) {
        const struct version_component *component = &held->vector[i];
        struct shelf *shelf = shelf_of(mirror, component->kind);
        if (shelf != NULL && component->revision <= shelf->seen)
            continue;
        is_covered = false;
        if (shelf != NULL && asks)
            ask(shelf);
    }
    return is_covered;
}

bool mirror_raise(struct mirror *mirror, const struct snapshot_version *held)
{
    bool is_raised = false;
    for (uint32_t i = 0; i < held->count; i++) {
        struct shelf *shelf = shelf_of(mirror, held->vector[i].kind);
        is_raised |= shelf->label < held->vector[i].revision;
        shelf->label = MAX(shelf->label, held->vector[i].revision);
    }
    return is_raised;
}

void mirror_relist(struct mirror *mirror)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (mirror->shelves[i].reflector != NULL)
            ask(&mirror->shelves[i]);
}

bool mirror_is_asking(const struct mirror *mirror)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (mirror->shelves[i].is_asked)
            return true;
    return false;
}

const char *mirror_api_version(const struct mirror *mirror, enum kind_id kind)
{
    return reflector_version(mirror->shelves[kind].reflector);
}

void mirror_json(const struct mirror *mirror, struct json *json)
{
    json_array_begin(json, NULL);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct shelf *shelf = &mirror->shelves[i];
        if (shelf->reflector == NULL)
            continue;
        const struct reflector_counters *counters = reflector_counters(shelf->reflector);
        const char *why = reflector_why(shelf->reflector);
        json_object_begin(json, NULL);
        json_string(json, "name", kind_name(shelf->kind));
        json_string(json, "version", reflector_version(shelf->reflector));
        json_int(json, "objects", (int64_t)store_count(mirror->store, shelf->kind));
        json_int(json, "revision", (int64_t)shelf->seen);
        json_bool(json, "listed", reflector_is_listed(shelf->reflector));
        json_bool(json, "missing", reflector_is_missing(shelf->reflector));
        json_int(json, "lists", (int64_t)counters->lists);
        json_int(json, "watches", (int64_t)counters->watches);
        json_int(json, "expired", (int64_t)counters->expired);
        json_int(json, "gaps", (int64_t)shelf->gaps);
        json_int(json, "failures", (int64_t)counters->failures);
        if (why != NULL)
            json_string(json, "why", why);
        json_object_end(json);
    }
    json_array_end(json);
}
