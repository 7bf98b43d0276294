/* Keeps, for each file, the objects of its last good form, and for each object the files that
 * holding it; a change of one file touches only that file's objects. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/files.h"

#include <errno.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "control/files/copies.h"
#include "control/files/directory.h"
#include "control/files/holding.h"

struct file {
    char *name; /* owns; without the directory */
    struct directory_stamp stamp;
    struct digest content;
    struct holding **holdings; /* owns; the objects in use from this file */
    size_t holding_count, holding_cap;
    struct arena fault_arena; /* of the last read */
    struct faults faults;
    bool broken, seen;
};

struct files {
    char *directory; /* owns */
    char *copies;    /* owns; where last good contents are kept, or NULL */
    char *partial;   /* owns, with `copies`; those since with a fault in an object */
    enum kind_mode mode;
    struct store *store; /* borrows */
    struct map by_name;  /* name -> file; owns */
    struct holdings *holdings;
    /* following */
    struct loop *loop;
    struct directory_watch *watch;
    const struct files_events *events;
    void *owner;
    struct timer debounce, poll;
    uint64_t burst_began_ms;
    bool rescan;      /* an event without a name, or an overflow: look at every file */
    struct map dirty; /* names to read again; keys owned */
};

struct files *files_new(struct text directory, enum kind_mode mode, struct store *store)
{
    struct files *files = memory_new(struct files);
    while (directory.len > 1 && directory.data[directory.len - 1] == '/')
        directory.len--;
    files->directory = memory_string(directory);
    files->mode = mode;
    files->store = store;
    map_init(&files->by_name);
    map_init(&files->dirty);
    files->holdings = holdings_new();
    return files;
}

/* NULL: it cannot be made. */
static char *make_copies(const struct files *files, struct text parent, const char *name)
{
    struct builder path = {0};
    builder_printf(&path, TEXT_FMT "/%s", TEXT_ARG(parent), name);
    if (!copies_make(path.data)) {
        builder_fini(&path);
        return NULL;
    }
    copies_purge(path.data, files->directory);
    return path.data;
}

void files_keep(struct files *files, struct text state_dir)
{
    char *copies = make_copies(files, state_dir, "files");
    char *partial = copies == NULL ? NULL : make_copies(files, text_of(copies), "partial");
    if (partial == NULL) {
        free(copies);
        return;
    }
    free(files->copies);
    free(files->partial);
    files->copies = copies;
    files->partial = partial;
}

static void clear_holdings(struct files *files, struct file *file)
{
    for (size_t i = 0; i < file->holding_count; i++)
        holdings_withdraw(files->holdings, file->holdings[i]);
    file->holding_count = 0;
}

static void free_file(struct files *files, struct file *file)
{
    clear_holdings(files, file);
    free(file->holdings);
    faults_fini(&file->faults);
    arena_fini(&file->fault_arena);
    free(file->name);
    free(file);
}

static void clear_dirty(struct files *files)
{
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&files->dirty, &at, &entry);)
        free(entry->value);
    map_fini(&files->dirty);
}

void files_free(struct files *files)
{
    if (files == NULL)
        return;
    if (files->loop != NULL) {
        loop_disarm(files->loop, &files->debounce);
        loop_disarm(files->loop, &files->poll);
        directory_watch_free(files->watch);
    }
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&files->by_name, &at, &entry);)
        free_file(files, entry->value);
    map_fini(&files->by_name);
    clear_dirty(files);
    holdings_free(files->holdings);
    free(files->directory);
    free(files->copies);
    free(files->partial);
    free(files);
}

static struct file *get_file(struct files *files, struct text name)
{
    struct file *file = map_get(&files->by_name, name);
    if (file != NULL)
        return file;
    file = memory_new(struct file);
    file->name = memory_string(name);
    arena_init(&file->fault_arena, 0);
    faults_init(&file->faults, &file->fault_arena);
    map_put(&files->by_name, text_of(file->name), file);
    return file;
}

static void clear_faults(struct file *file)
{
    faults_fini(&file->faults);
    arena_reset(&file->fault_arena);
    faults_init(&file->faults, &file->fault_arena);
}

static bool is_json(const char *name)
{
    return text_ends_with(text_of(name), TEXT(".json"));
}

/* The objects of a content; false: it has a syntax error. */
static bool parse(const struct files *files, const struct file *file, struct text content,
                  struct text path, struct kind_objects *objects, struct faults *faults)
{
    struct arena arena;
    arena_init(&arena, 65536);
    struct value_documents documents = {0};
    struct value *only = NULL;
    bool parsed = false;
    if (is_json(file->name)) {
        parsed = value_parse_json(content, path, &arena, &only, faults);
        documents = (struct value_documents){&only, 1};
    } else {
        parsed = value_parse_yaml(content, path, &arena, &documents, faults);
    }
    for (size_t i = 0; parsed && i < documents.count; i++)
        kind_decode(documents.items[i], path, files->mode, objects, faults);
    arena_fini(&arena);
    return parsed;
}

/* The last good form of an object that this file holds in a bad form now. */
static struct kind_object *last_good(struct file *file, const struct kind_object *bad)
{
    for (size_t i = 0; i < file->holding_count; i++) {
        const struct kind_object *old = file->holdings[i]->object;
        if (old->id == bad->id && text_equal(old->meta.name, bad->meta.name) &&
            text_equal(old->meta.namespace, bad->meta.namespace))
            return file->holdings[i]->object;
    }
    return NULL;
}

/* Replaces what the file holdings by what it holds now. */
static void take_objects(struct files *files, struct file *file, struct kind_objects *objects)
{
    struct holding **old = file->holdings;
    size_t old_count = file->holding_count;
    struct holding **holdings = memory_alloc((objects->count + 1) * sizeof(*holdings));
    size_t count = 0;
    for (size_t i = 0; i < objects->count; i++) {
        struct kind_object *object = objects->items[i];
        if (object->error_count > 0 && files->mode == KIND_LENIENT)
            object = last_good(file, object); /* a check wants to see what else is wrong */
        if (object != NULL)
            holdings[count++] = holdings_make(files->holdings, text_of(file->name), object);
    }
    for (size_t i = 0; i < old_count; i++)
        holdings_withdraw(files->holdings, old[i]);
    free(old);
    for (size_t i = 0; i < count; i++)
        if (!holdings_enter(files->holdings, holdings[i]) && holdings[i]->object->error_count == 0)
            faults_add(&file->faults,
                       &(struct fault){
                           .code = "Duplicate",
                           .where = kind_describe(holdings[i]->object, &file->fault_arena),
                           .file = holdings[i]->object->meta.file,
                           .line = holdings[i]->object->meta.place.line,
                           .column = holdings[i]->object->meta.place.column,
                           .hint = TEXT("remove one of the two"),
                       },
                       "the same object stands in %s, which counts",
                       holdings_winner_file(files->holdings, holdings[i]));
    file->holdings = holdings;
    file->holding_count = count;
}

static void unreadable(struct file *file, struct text path, const char *why)
{
    clear_faults(file);
    file->broken = true;
    faults_add(&file->faults,
               &(struct fault){.code = "FileUnreadable", .file = path, .where = path},
               "cannot be read: %s", why);
}

static size_t error_count(const struct faults *faults)
{
    size_t errors = faults->dropped;
    for (size_t i = 0; i < faults->count; i++)
        errors += faults->items[i].level == FAULT_ERROR;
    return errors;
}

static void recall(struct files *files, struct file *file, const char *copies, struct text path)
{
    struct arena arena;
    struct faults faults;
    struct kind_objects objects = {0};
    struct text content = TEXT_NONE;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    if (copies_load(copies, file->name, &arena, &content) &&
        parse(files, file, content, path, &objects, &faults))
        take_objects(files, file, &objects);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
}

/* A file that is faulty at its first sight: what it held when it was good last counts as before,
 * and the good objects of what came behind that. */
static void remember(struct files *files, struct file *file, struct text path)
{
    recall(files, file, files->copies, path);
    recall(files, file, files->partial, path);
}

/* One file on its way in: read and parsed by any thread, which touches nothing but this and the
 * file's faults; then taken by the loop's. */
struct reading {
    struct file *file;
    struct directory_stamp stamp;
    struct arena arena;
    struct text path, content;
    const char *why; /* it cannot be read */
    struct digest digest;
    bool changed, parsed;
    struct kind_objects objects;
};

struct readings {
    struct files *files;
    struct reading *items;
    size_t count, cap;
    uint64_t bytes;
};

static void read_one(void *owner, size_t index)
{
    struct readings *readings = owner;
    const struct files *files = readings->files;
    struct reading *reading = &readings->items[index];
    struct file *file = reading->file;
    arena_init(&reading->arena, 0);
    reading->path = arena_printf(&reading->arena, "%s/%s", files->directory, file->name);
    reading->why = directory_read(reading->path.data, &reading->arena, &reading->content);
    reading->digest = hash_digest(reading->content);
    reading->changed = reading->why != NULL || !digest_equal(reading->digest, file->content);
    if (reading->why != NULL || !reading->changed)
        return;
    clear_faults(file);
    reading->parsed =
        parse(files, file, reading->content, reading->path, &reading->objects, &file->faults);
}

static void take_content(struct files *files, struct reading *reading)
{
    struct file *file = reading->file;
    file->broken = !reading->parsed;
    bool clean = !file->broken && error_count(&file->faults) == 0;
    if (!clean && file->holding_count == 0 && files->copies != NULL)
        remember(files, file, reading->path);
    if (!file->broken)
        take_objects(files, file, &reading->objects);
    if (file->broken || files->copies == NULL)
        return;
    copies_save(clean ? files->copies : files->partial, file->name, reading->content);
    if (clean)
        copies_forget(files->partial, file->name);
}

/* True: what the file holds or its faults changed. */
static bool take_one(struct files *files, struct reading *reading)
{
    struct file *file = reading->file;
    file->stamp = reading->stamp;
    if (reading->why != NULL) {
        unreadable(file, reading->path, reading->why);
        file->content = (struct digest){0};
        if (file->holding_count == 0 && files->copies != NULL)
            remember(files, file, reading->path);
    } else if (reading->changed) {
        file->content = reading->digest;
        take_content(files, reading);
    }
    kind_objects_fini(&reading->objects);
    arena_fini(&reading->arena);
    return reading->changed;
}

/* True: something changed. */
static bool take_all(struct readings *readings)
{
    bool changed = false;
    parallel_each(readings->count, readings, read_one);
    for (size_t i = 0; i < readings->count; i++)
        changed |= take_one(readings->files, &readings->items[i]);
    readings->count = 0;
    readings->bytes = 0;
    return changed;
}

static void forget_file(struct files *files, struct text name)
{
    struct file *file = map_remove(&files->by_name, name);
    if (file == NULL)
        return;
    if (files->copies != NULL) {
        copies_forget(files->copies, file->name);
        copies_forget(files->partial, file->name);
    }
    free_file(files, file);
}

/* Looks at one name: new, changed, or gone. What must be read is put to the others that must. True:
 * something changed already. */
static bool visit(struct readings *readings, struct text name)
{
    struct files *files = readings->files;
    struct directory_stamp stamp;
    bool there = directory_stamp(files->directory, name, &stamp);
    struct file *file = map_get(&files->by_name, name);
    if (!there) {
        forget_file(files, name);
        return file != NULL;
    }
    if (file != NULL && directory_stamp_equal(&file->stamp, &stamp))
        return false;
    readings->items =
        memory_grow(readings->items, readings->count, &readings->cap, sizeof(struct reading));
    readings->items[readings->count++] =
        (struct reading){.file = get_file(files, name), .stamp = stamp};
    readings->bytes += stamp.size;
    return readings->bytes >= LIMIT_FILES_READING && take_all(readings);
}

/* True in *ret_changed if anything differs. False: the directory cannot be listed. */
static bool scan(struct files *files, bool *ret_changed)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text *names = NULL;
    size_t count = 0;
    if (!directory_list(files->directory, &arena, &names, &count)) {
        int why = errno;
        arena_fini(&arena);
        errno = why;
        return false;
    }
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&files->by_name, &at, &entry);)
        ((struct file *)entry->value)->seen = false;
    struct readings readings = {.files = files};
    for (size_t i = 0; i < count; i++) {
        *ret_changed |= visit(&readings, names[i]);
        struct file *file = map_get(&files->by_name, names[i]);
        if (file != NULL)
            file->seen = true;
    }
    *ret_changed |= take_all(&readings);
    free(readings.items);
    size_t file_count = 0;
    struct file **all = (struct file **)map_sorted(&files->by_name, &file_count);
    for (size_t i = 0; i < file_count; i++) {
        if (all[i]->seen)
            continue;
        forget_file(files, text_of(all[i]->name));
        *ret_changed = true;
    }
    free(all);
    arena_fini(&arena);
    return true;
}

/* No time is handed on: an object is as old as its creationTimestamp says, else all are equally
 * old, so that the same directory means the same at every start. */
#define NO_TIME 0

bool files_load(struct files *files)
{
    bool changed = false;
    if (!scan(files, &changed))
        return false;
    holdings_settle(files->holdings, files->store, NO_TIME);
    return true;
}

bool files_load_one(struct files *files, struct text name)
{
    struct readings readings = {.files = files};
    (void)visit(&readings, name);
    (void)take_all(&readings);
    free(readings.items);
    holdings_settle(files->holdings, files->store, NO_TIME);
    return map_get(&files->by_name, name) != NULL;
}

static void read_dirty(struct files *files, bool *ret_changed)
{
    struct readings readings = {.files = files};
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&files->dirty, &at, &entry);)
        *ret_changed |= visit(&readings, entry->key);
    *ret_changed |= take_all(&readings);
    free(readings.items);
    clear_dirty(files);
}

static void on_settled(void *owner)
{
    struct files *files = owner;
    files->burst_began_ms = 0;
    bool changed = false;
    if (!files->rescan)
        read_dirty(files, &changed);
    else if (scan(files, &changed))
        files->rescan = false;
    clear_dirty(files);
    if (changed) {
        holdings_settle(files->holdings, files->store, NO_TIME);
        files->events->on_change(files->owner, files);
    }
    if (files->rescan) /* the directory is away: keep what there is, look again */
        loop_arm(files->loop, &files->debounce, LIMIT_DIRECTORY_RETRY_MS);
}

/* Waits for the end of a burst, but not for ever. */
static void arm(struct files *files)
{
    uint64_t now = loop_now_ms(files->loop);
    if (files->burst_began_ms == 0)
        files->burst_began_ms = now;
    uint64_t waited = now - files->burst_began_ms;
    if (waited >= LIMIT_DEBOUNCE_MAX_MS && timer_is_armed(&files->debounce))
        return; /* it is due: armed anew with every event, it would never come */
    uint64_t left = waited >= LIMIT_DEBOUNCE_MAX_MS ? 0 : LIMIT_DEBOUNCE_MAX_MS - waited;
    loop_arm(files->loop, &files->debounce, MIN((uint64_t)LIMIT_DEBOUNCE_MS, left));
}

static void on_name(void *owner, struct text name)
{
    struct files *files = owner;
    if (name.len == 0) {
        files->rescan = true;
    } else if (map_get(&files->dirty, name) == NULL) {
        char *copy = memory_string(name);
        map_put(&files->dirty, text_from(copy, name.len), copy);
    }
    arm(files);
}

/* Targets of symbolic links change without an event here. */
static void on_poll(void *owner)
{
    struct files *files = owner;
    loop_arm(files->loop, &files->poll, LIMIT_DIRECTORY_POLL_MS);
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&files->by_name, &at, &entry);) {
        const struct file *file = entry->value;
        struct directory_stamp stamp;
        if (file->stamp.is_link && (!directory_stamp(files->directory, entry->key, &stamp) ||
                                    !directory_stamp_equal(&file->stamp, &stamp)))
            on_name(files, entry->key);
    }
}

bool files_watch(struct files *files, struct loop *loop, const struct files_events *events,
                 void *owner)
{
    files->loop = loop;
    files->events = events;
    files->owner = owner;
    timer_init(&files->debounce, files, on_settled);
    timer_init(&files->poll, files, on_poll);
    files->watch = directory_watch_new(files->directory, loop, files, on_name);
    if (files->watch == NULL) {
        files->loop = NULL;
        return false;
    }
    loop_arm(loop, &files->poll, LIMIT_DIRECTORY_POLL_MS);
    on_name(files, TEXT_NONE); /* what changed between load and watch */
    return true;
}

void files_reload(struct files *files)
{
    on_name(files, TEXT_NONE);
}

void files_faults(const struct files *files, struct faults *faults)
{
    size_t count = 0;
    struct file **all = (struct file **)map_sorted(&files->by_name, &count);
    for (size_t i = 0; i < count; i++) {
        for (size_t f = 0; f < all[i]->faults.count; f++)
            faults_copy(faults, &all[i]->faults.items[f]);
        faults->dropped += all[i]->faults.dropped;
    }
    free(all);
}

struct files_file *files_list(const struct files *files, struct arena *arena, size_t *ret_count)
{
    struct file **all = (struct file **)map_sorted(&files->by_name, ret_count);
    struct files_file *list = arena_array(arena, struct files_file, *ret_count + 1);
    for (size_t i = 0; i < *ret_count; i++)
        list[i] = (struct files_file){
            .name = arena_printf(arena, "%s/%s", files->directory, all[i]->name),
            .object_count = all[i]->holding_count,
            .error_count = error_count(&all[i]->faults),
            .broken = all[i]->broken,
        };
    free(all);
    return list;
}
