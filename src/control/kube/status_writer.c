/* An entry an object: what its status is on the server, and whether it is to be compared with what
 * the outcome says. Comparing costs no request; only what differs is written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/status_writer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "control/kube/merge.h"
#include "control/kube/reflector.h"
#include "control/translate/terms/conditions.h"

#define FIELD_MANAGER "fieldManager=nantian-control"

struct entry {
    struct status_writer *writer;
    char *key; /* owns: "kind\0namespace\0name" */
    size_t key_len;
    struct store_key object; /* views into key */
    char *version;           /* owns: resourceVersion */
    char *live;              /* owns: its status as JSON, or NULL */
    char *before;            /* owns: the same when the write in flight began */
    int64_t generation;
    struct digest wanted; /* what we wanted to say last */
    uint32_t streak;      /* writes since that changed: somebody may be fighting */
    uint32_t steady;      /* writes with nothing but their pauses between: it keeps changing */
    uint32_t failures;
    struct entry *next, **at; /* in the queue */
    bool is_queued, is_again;
    bool is_set_back;   /* `version` bounds nothing */
    struct timer pause; /* armed: queued when it is due */
    struct client_call *call;
};

struct status_writer {
    struct status_writer_options options;
    const struct outcome *outcome; /* borrows; NULL before the first run */
    struct map entries;            /* owns */
    struct entry *first, **last;
    size_t waiting, in_flight;
    struct defer pump;
    struct status_writer_counters counters;
};

static bool has_status(enum kind_id kind)
{
    switch (kind) {
    case KIND_NONE:
    case KIND_SERVICE:
    case KIND_ENDPOINT_SLICE:
    case KIND_SECRET:
    case KIND_CONFIG_MAP:
    case KIND_CLUSTER_TRUST_BUNDLE:
    case KIND_NAMESPACE:
    case KIND_REFERENCE_GRANT:
    case KIND_GATEWAY_PARAMETERS:
    case KIND_COUNT:
        return false;
    default:
        return true;
    }
}

/* ---- the queue ---- */

static void enqueue(struct entry *entry)
{
    struct status_writer *writer = entry->writer;
    if (entry->call != NULL) {
        entry->is_again = true;
        return;
    }
    if (entry->is_queued || timer_is_armed(&entry->pause))
        return;
    entry->is_queued = true;
    entry->next = NULL;
    entry->at = writer->last;
    *writer->last = entry;
    writer->last = &entry->next;
    writer->waiting++;
    loop_defer(writer->options.loop, &writer->pump);
}

static void unqueue(struct entry *entry)
{
    struct status_writer *writer = entry->writer;
    if (!entry->is_queued)
        return;
    *entry->at = entry->next;
    if (entry->next != NULL)
        entry->next->at = entry->at;
    else
        writer->last = entry->at;
    writer->waiting--;
    entry->is_queued = false;
}

static void on_pause_over(void *owner)
{
    enqueue(owner);
}

static void pause_for(struct entry *entry, uint64_t ms)
{
    unqueue(entry);
    loop_arm(entry->writer->options.loop, &entry->pause, ms);
}

/* ---- entries ---- */

static struct text key_of(struct builder *out, struct store_key key)
{
    builder_add_u64(out, key.kind);
    builder_add_char(out, '\0');
    builder_add(out, key.namespace);
    builder_add_char(out, '\0');
    builder_add(out, key.name);
    return builder_text(out);
}

static struct entry *find(const struct status_writer *writer, struct store_key key)
{
    struct builder bytes CLEANUP(builder_fini) = {0};
    return map_get(&writer->entries, key_of(&bytes, key));
}

static struct entry *make(struct status_writer *writer, struct store_key key)
{
    struct builder bytes = {0};
    struct entry *entry = memory_new(struct entry);
    entry->writer = writer;
    entry->key_len = key_of(&bytes, key).len;
    entry->key = bytes.data;
    size_t name_at = entry->key_len - key.name.len;
    entry->object = (struct store_key){
        key.kind,
        text_from(bytes.data + name_at - 1 - key.namespace.len, key.namespace.len),
        text_from(bytes.data + name_at, key.name.len),
    };
    timer_init(&entry->pause, entry, on_pause_over);
    map_put(&writer->entries, text_from(entry->key, entry->key_len), entry);
    return entry;
}

static void free_entry(struct entry *entry)
{
    struct status_writer *writer = entry->writer;
    unqueue(entry);
    loop_disarm(writer->options.loop, &entry->pause);
    if (entry->call != NULL) {
        client_cancel(entry->call);
        writer->in_flight--;
    }
    free(entry->key);
    free(entry->version);
    free(entry->live);
    free(entry->before);
    free(entry);
}

static uint64_t number_of(const char *version)
{
    uint64_t number = 0;
    return version != NULL && text_to_u64(text_of(version), &number) ? number : 0;
}

/* True: the status is another one than we knew. */
static bool remember(struct entry *entry, const struct value *object)
{
    const struct value *metadata = value_get(object, "metadata");
    struct text version = value_string(value_get(metadata, "resourceVersion"));
    const struct value *status = value_get(object, "status");
    struct builder text = {0};
    char *before = entry->live;
    char *fresh = memory_string(version);
    if (number_of(fresh) != 0 && number_of(fresh) < number_of(entry->version) &&
        !entry->is_set_back) {
        free(fresh); /* older than what a write of ours was answered */
        return false;
    }
    entry->is_set_back = false;
    free(entry->version);
    entry->version = fresh;
    entry->generation = value_int(value_get(metadata, "generation"), 0);
    if (status != NULL) {
        struct json json;
        json_init(&json, &text, 0);
        json_value(&json, NULL, status);
    }
    bool is_same = before == NULL ? text.data == NULL
                                  : text.data != NULL && text_is(builder_text(&text), before);
    entry->live = text.data == NULL ? NULL : memory_string(builder_text(&text));
    builder_fini(&text);
    free(before);
    return !is_same;
}

void status_writer_observe(struct status_writer *writer, enum kind_id kind,
                           const struct value *object)
{
    const struct value *metadata = value_get(object, "metadata");
    struct store_key key = {kind, value_string(value_get(metadata, "namespace")),
                            value_string(value_get(metadata, "name"))};
    if (!has_status(kind))
        return;
    struct entry *entry = find(writer, key);
    bool is_new = entry == NULL;
    if (is_new)
        entry = make(writer, key);
    if (remember(entry, object) || is_new)
        enqueue(entry);
}

void status_writer_set_back(struct status_writer *writer)
{
    struct map_entry *item;
    for (size_t at = 0; map_next(&writer->entries, &at, &item);)
        ((struct entry *)item->value)->is_set_back = true;
}

void status_writer_forget(struct status_writer *writer, struct store_key key)
{
    struct entry *entry = find(writer, key);
    if (entry == NULL)
        return;
    map_remove(&writer->entries, text_from(entry->key, entry->key_len));
    free_entry(entry);
}

/* ---- writing ---- */

static const struct value *parse(struct arena *arena, struct text text)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, arena);
    bool good = text.len > 0 && value_parse_json(text, TEXT_NONE, arena, &value, &faults);
    faults_fini(&faults);
    return good ? value : NULL;
}

/* What the outcome says of it; *ret_is_stale: it speaks of an older object. */
static const struct value *wanted_of(struct entry *entry, struct arena *arena, bool *ret_is_stale)
{
    const struct object_status *status = outcome_status(entry->writer->outcome, entry->object);
    struct builder text CLEANUP(builder_fini) = {0};
    *ret_is_stale = status != NULL && status->generation < entry->generation;
    if (status != NULL) {
        struct json json;
        json_init(&json, &text, 0);
        conditions_status_json(&json, status);
    }
    struct digest digest = hash_digest(builder_text(&text));
    if (!digest_equal(digest, entry->wanted))
        entry->streak = 0;
    entry->wanted = digest;
    struct text copy = arena_text(arena, builder_text(&text));
    return value_get(parse(arena, copy), "status");
}

static struct text path_of(const struct entry *entry, struct arena *arena)
{
    const struct status_writer_options *options = &entry->writer->options;
    enum kind_id kind = entry->object.kind;
    struct text path = reflector_path(
        arena, kind_group(kind), options->api_version(options->owner, kind),
        reflector_plural(arena, kind_name(kind)).data, entry->object.namespace, entry->object.name);
    return arena_printf(arena, TEXT_FMT "/status?" FIELD_MANAGER, TEXT_ARG(path));
}

static void on_written(void *owner, const struct client_answer *answer);

static void start(struct entry *entry, const struct value *differs, struct arena *arena)
{
    static const struct client_events EVENTS = {.on_done = on_written};
    struct status_writer *writer = entry->writer;
    struct builder body CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &body, 0);
    json_object_begin(&json, NULL);
    json_object_begin(&json, "metadata");
    json_string(&json, "resourceVersion", entry->version);
    json_object_end(&json);
    json_value(&json, "status", differs);
    json_object_end(&json);
    const struct client_request request = {
        .method = "PATCH",
        .path = path_of(entry, arena),
        .content_type = "application/merge-patch+json",
        .body = builder_text(&body),
        .timeout_ms = LIMIT_KUBE_CALL_MS,
        .may_start = writer->options.may_write,
        .guard = writer->options.owner,
    };
    free(entry->before);
    entry->before = entry->live == NULL ? NULL : memory_string(text_of(entry->live));
    entry->call = client_start(writer->options.client, &request, &EVENTS, entry);
    writer->in_flight++;
    writer->counters.writes++;
}

static void compare(struct entry *entry)
{
    struct status_writer *writer = entry->writer;
    struct arena arena;
    char now[25];
    bool is_stale = false;
    arena_init(&arena, 4096);
    clock_format(loop_wall_ns(writer->options.loop), now);
    now[19] = 'Z';
    now[20] = '\0';
    const struct value *wanted = wanted_of(entry, &arena, &is_stale);
    const struct value *live = entry->live == NULL ? NULL : parse(&arena, text_of(entry->live));
    struct value *differs =
        merge_status(live, wanted, writer->options.controller, text_of(now), &arena);
    if (differs != NULL && !is_stale)
        start(entry, differs, &arena);
    else
        entry->steady = 0;
    arena_fini(&arena);
}

static void on_pump(void *owner)
{
    struct status_writer *writer = owner;
    while (writer->first != NULL && writer->in_flight < LIMIT_KUBE_WRITES) {
        if (writer->outcome == NULL || !writer->options.may_write(writer->options.owner))
            return;
        struct entry *entry = writer->first;
        unqueue(entry);
        compare(entry);
    }
}

/* The longer somebody writes against us, the longer we wait; and a status that changes with each of
 * many objects, as a Gateway's with the routes that it counts, is written about once a second. */
static uint64_t pause_after_write(const struct entry *entry)
{
    uint32_t doublings = entry->streak > 2 ? MIN(entry->streak - 2, 8u) : 0;
    uint32_t slower = entry->steady > 3 ? MIN(entry->steady - 3, 8u) : 0;
    uint64_t steady = (uint64_t)LIMIT_KUBE_WRITE_MS << slower;
    return MAX((uint64_t)LIMIT_KUBE_WRITE_MS << doublings,
               MIN(steady, (uint64_t)LIMIT_KUBE_STEADY_MS));
}

static void on_read_again(void *owner, const struct client_answer *answer)
{
    struct entry *entry = owner;
    struct status_writer *writer = entry->writer;
    bool is_again = entry->is_again;
    struct arena arena;
    arena_init(&arena, 16384);
    entry->call = NULL;
    entry->is_again = false;
    writer->in_flight--;
    if (answer->status == 200) {
        const struct value *object = parse(&arena, answer->body);
        entry->is_set_back = true; /* no cache said this: if it is older, then etcd was restored */
        if (object != NULL)
            remember(entry, object);
        if (entry->failures > 1) /* what is read is what was refused: whoever serves it lags */
            pause_for(entry, client_backoff_ms(writer->options.loop, entry->failures, answer));
        else
            enqueue(entry);
    } else if (answer->status != 404) {
        pause_for(entry, client_backoff_ms(writer->options.loop, ++entry->failures, answer));
    } else if (is_again) {
        enqueue(entry);
    }
    loop_defer(writer->options.loop, &writer->pump);
    arena_fini(&arena);
}

/* Somebody was faster: what stands there now decides. */
static void read_again(struct entry *entry)
{
    static const struct client_events EVENTS = {.on_done = on_read_again};
    struct status_writer *writer = entry->writer;
    struct arena arena;
    arena_init(&arena, 0);
    struct text path = path_of(entry, &arena);
    path.len -= strlen("/status?" FIELD_MANAGER);
    const struct client_request request = {
        .method = "GET", .path = path, .timeout_ms = LIMIT_KUBE_CALL_MS};
    entry->call = client_start(writer->options.client, &request, &EVENTS, entry);
    writer->in_flight++;
    writer->counters.conflicts++;
    arena_fini(&arena);
}

static void on_refused(struct entry *entry, const struct client_answer *answer)
{
    struct status_writer *writer = entry->writer;
    writer->counters.failures++;
    /* An answer that a retry will not change is worth a word. */
    if (answer->status >= 400 && answer->status < 500 && answer->status != 429)
        log_error("a status cannot be written", log_str("kind", kind_name(entry->object.kind)),
                  log_text("namespace", entry->object.namespace),
                  log_text("name", entry->object.name), log_int("status", answer->status),
                  log_text("answer", text_slice(answer->body, 0, 500)));
    pause_for(entry, client_backoff_ms(writer->options.loop, ++entry->failures, answer));
}

static void on_written(void *owner, const struct client_answer *answer)
{
    struct entry *entry = owner;
    struct status_writer *writer = entry->writer;
    bool is_again = entry->is_again;
    entry->call = NULL;
    entry->is_again = false;
    writer->in_flight--;
    if (answer->status == 200) {
        struct arena arena;
        arena_init(&arena, 16384);
        const struct value *object = parse(&arena, answer->body);
        if (object != NULL) {
            remember(entry, object);
            const struct value *before =
                entry->before == NULL ? NULL : parse(&arena, text_of(entry->before));
            writer->options.on_written(writer->options.owner, entry->object, before,
                                       value_get(object, "status"));
        }
        arena_fini(&arena);
        entry->failures = 0;
        entry->streak++;
        entry->steady++;
        pause_for(entry,
                  pause_after_write(entry)); /* then compared once more, mostly for nothing */
    } else if (answer->status == 409) {
        entry->failures++;
        read_again(entry);
    } else if (answer->status != 404) { /* else it is gone, as the mirror will tell */
        on_refused(entry, answer);
    } else if (is_again) {
        enqueue(entry);
    }
    loop_defer(writer->options.loop, &writer->pump);
}

/* ---- from outside ---- */

void status_writer_take(struct status_writer *writer, const struct outcome *outcome,
                        const struct outcome_edits *edits)
{
    writer->outcome = outcome;
    for (size_t i = 0; i < edits->status_count; i++) {
        struct entry *entry = find(writer, edits->statuses[i]->key);
        if (entry != NULL)
            enqueue(entry);
    }
    for (size_t i = 0; i < edits->withdrawn_count; i++) {
        struct entry *entry = find(writer, edits->withdrawn[i]);
        if (entry != NULL)
            enqueue(entry);
    }
    loop_defer(writer->options.loop, &writer->pump);
}

bool status_writer_says(const struct status_writer *writer, struct store_key key,
                        const char *condition)
{
    const struct entry *entry = find(writer, key);
    bool is_true = false;
    struct arena arena;
    if (entry == NULL || entry->live == NULL)
        return false;
    arena_init(&arena, 0);
    const struct value *all = value_get(parse(&arena, text_of(entry->live)), "conditions");
    for (size_t i = 0; all != NULL && all->kind == VALUE_LIST && i < all->list.count; i++) {
        const struct value *one = all->list.items[i];
        is_true |= text_is(value_string(value_get(one, "type")), condition) &&
                   text_is(value_string(value_get(one, "status")), "True") &&
                   value_int(value_get(one, "observedGeneration"), -1) == entry->generation;
    }
    arena_fini(&arena);
    return is_true;
}

void status_writer_begin(struct status_writer *writer)
{
    struct map_entry *item;
    for (size_t at = 0; map_next(&writer->entries, &at, &item);)
        enqueue(item->value);
    loop_defer(writer->options.loop, &writer->pump);
}

struct status_writer_counters status_writer_counters(const struct status_writer *writer)
{
    struct status_writer_counters counters = writer->counters;
    counters.waiting = writer->waiting + writer->in_flight;
    return counters;
}

struct status_writer *status_writer_new(const struct status_writer_options *options)
{
    struct status_writer *writer = memory_new(struct status_writer);
    writer->options = *options;
    writer->last = &writer->first;
    map_init(&writer->entries);
    defer_init(&writer->pump, writer, on_pump);
    return writer;
}

void status_writer_free(struct status_writer *writer)
{
    if (writer == NULL)
        return;
    struct map_entry *item;
    for (size_t at = 0; map_next(&writer->entries, &at, &item);)
        free_entry(item->value);
    map_fini(&writer->entries);
    loop_undefer(writer->options.loop, &writer->pump);
    free(writer);
}
