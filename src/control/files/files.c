/* Keeps, for each file, the objects of its last good form, and for each object the files that
 * holding it; a change of one file touches only that file's objects. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/files.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "control/files/directory.h"
#include "control/files/provider.h"

struct file {
    struct provider provider;
    struct directory_stamp stamp;
    bool seen;
};

struct files {
    char *directory; /* owns */
    struct providers providers;
    struct store *store; /* borrows */
    struct map by_name;  /* name -> file; owns */

    /* following */
    struct loop *loop;
    struct directory_watch *watch;
    const struct files_events *events;
    void *owner;
    struct timer debounce, poll;
    uint64_t burst_began_ms;
    const char *away; /* why what the directory held stays nevertheless, or NULL */
    bool rescan;      /* an event without a name, or an overflow: look at every file */
    bool is_replaced; /* no file was seen yet in the directory that is there now */
    struct map dirty; /* names to read again; keys owned */
};

struct files *files_new(struct text directory, enum kind_mode mode, struct store *store)
{
    struct files *files = memory_new(struct files);
    while (directory.len > 1 && directory.data[directory.len - 1] == '/')
        directory.len--;
    files->directory = memory_string(directory);
    files->providers = (struct providers){.mode = mode, .holdings = holdings_new()};
    files->store = store;
    map_init(&files->by_name);
    map_init(&files->dirty);
    return files;
}

void files_keep(struct files *files, struct text state_dir)
{
    char *path = memory_string(state_dir);
    struct copies *copies = copies_new(path, files->directory);
    if (copies == NULL)
        log_warn("files cannot be copied; after a restart their faults would count",
                 log_str("state", path), log_str("why", strerrordesc_np(errno)));
    free(path);
    copies_free(files->providers.copies);
    files->providers.copies = copies;
}

static void free_file(struct files *files, struct file *file)
{
    provider_fini(&file->provider, &files->providers);
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
    holdings_free(files->providers.holdings);
    copies_free(files->providers.copies);
    free(files->directory);
    free(files);
}

static struct file *get_file(struct files *files, struct text name)
{
    struct file *file = map_get(&files->by_name, name);
    if (file != NULL)
        return file;
    file = memory_new(struct file);
    provider_init(&file->provider, name);
    map_put(&files->by_name, text_of(file->provider.name), file);
    return file;
}

/* One file on its way in: read and parsed by any thread, which touches nothing but this and the
 * file's faults; then taken by the loop's. */
struct reading {
    struct file *file;
    struct directory_stamp stamp;
    struct arena arena;
    const char *why; /* it cannot be read */
    bool changed;
    struct provider_content content;
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
    struct provider_content *content = &reading->content;
    struct provider *provider = &reading->file->provider;
    arena_init(&reading->arena, 0);
    content->path = arena_printf(&reading->arena, "%s/%s", files->directory, provider->name);
    reading->why = directory_read(content->path.data, &reading->arena, &content->text);
    content->digest = hash_digest(content->text);
    reading->changed = reading->why != NULL || !digest_equal(content->digest, provider->content);
    if (reading->why == NULL && reading->changed)
        provider_parse(provider, files->providers.mode, content);
}

/* True: what the file holds or its faults changed. */
static bool take_one(struct files *files, struct reading *reading)
{
    struct provider *provider = &reading->file->provider;
    reading->file->stamp = reading->stamp;
    if (reading->why != NULL)
        provider_lose(provider, &files->providers, reading->content.path, reading->why);
    else if (reading->changed)
        provider_take(provider, &files->providers, &reading->content);
    else if (provider->unkept)
        (void)provider_keep(provider, &files->providers, reading->content.text);
    kind_objects_fini(&reading->content.objects);
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
    if (files->providers.copies != NULL)
        copies_forget_all(files->providers.copies, file->provider.name);
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

/* True in *ret_changed if anything differs. NULL, or why the directory is taken for away: it cannot
 * be listed, or one that is being filled or a place to mount something stands there instead. */
static const char *scan(struct files *files, bool *ret_changed)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text *names = NULL;
    size_t count = 0;
    if (!directory_list(files->directory, &arena, &names, &count)) {
        int why = errno;
        arena_fini(&arena);
        errno = why;
        return strerrordesc_np(why);
    }
    if (count == 0 && files->is_replaced && files->by_name.count > 0) {
        arena_fini(&arena);
        return "another one stands there, without a file";
    }
    files->is_replaced = false;
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
        forget_file(files, text_of(all[i]->provider.name));
        *ret_changed = true;
    }
    free(all);
    arena_fini(&arena);
    return NULL;
}

/* No time is handed on: an object is as old as its creationTimestamp says, else all are equally
 * old, so that the same directory means the same at every start. */
#define NO_TIME 0

bool files_load(struct files *files)
{
    bool changed = false;
    if (scan(files, &changed) != NULL)
        return false;
    holdings_settle(files->providers.holdings, files->store, NO_TIME);
    return true;
}

bool files_load_one(struct files *files, struct text name)
{
    struct readings readings = {.files = files};
    (void)visit(&readings, name);
    (void)take_all(&readings);
    free(readings.items);
    holdings_settle(files->providers.holdings, files->store, NO_TIME);
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

/* While the directory is away what there is stays; that is news once, and so is its return. */
static void look_at_all(struct files *files, bool *ret_changed)
{
    bool was_away = files->away != NULL;
    directory_watch_renew(files->watch);
    files->away = scan(files, ret_changed);
    files->rescan = files->away != NULL;
    *ret_changed |= was_away != (files->away != NULL);
}

static void on_settled(void *owner)
{
    struct files *files = owner;
    files->burst_began_ms = 0;
    bool changed = false;
    if (!files->rescan)
        read_dirty(files, &changed);
    else
        look_at_all(files, &changed);
    clear_dirty(files);
    if (changed) {
        holdings_settle(files->providers.holdings, files->store, NO_TIME);
        files->events->on_change(files->owner, files);
    }
    if (files->rescan)
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

static void on_replaced(void *owner)
{
    struct files *files = owner;
    files->is_replaced = true;
    on_name(files, TEXT_NONE);
}

/* Targets of symbolic links change without an event here, and so does the room for copies. */
static void on_poll(void *owner)
{
    struct files *files = owner;
    loop_arm(files->loop, &files->poll, LIMIT_DIRECTORY_POLL_MS);
    struct map_entry *entry = NULL;
    for (size_t at = 0; map_next(&files->by_name, &at, &entry);) {
        struct file *file = entry->value;
        struct directory_stamp stamp;
        if (file->provider.unkept) {
            file->stamp = (struct directory_stamp){.is_link = file->stamp.is_link};
            on_name(files, entry->key); /* perhaps there is room again */
        } else if (file->stamp.is_link && (!directory_stamp(files->directory, entry->key, &stamp) ||
                                           !directory_stamp_equal(&file->stamp, &stamp)))
            on_name(files, entry->key);
    }
}

bool files_watch(struct files *files, struct loop *loop, const struct files_events *events,
                 void *owner)
{
    static const struct directory_events follow = {on_name, on_replaced};
    files->loop = loop;
    files->events = events;
    files->owner = owner;
    timer_init(&files->debounce, files, on_settled);
    timer_init(&files->poll, files, on_poll);
    files->watch = directory_watch_new(files->directory, loop, &follow, files);
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
        const struct faults *found = &all[i]->provider.faults;
        for (size_t f = 0; f < found->count; f++)
            faults_copy(faults, &found->items[f]);
        faults->dropped += found->dropped;
    }
    if (files->away != NULL)
        faults_add(faults,
                   &(struct fault){.code = "DirectoryUnreadable",
                                   .file = text_of(files->directory),
                                   .hint = TEXT("what it held stays in force until it is back")},
                   "the directory cannot be read: %s", files->away);
    free(all);
}

struct files_file *files_list(const struct files *files, struct arena *arena, size_t *ret_count)
{
    struct file **all = (struct file **)map_sorted(&files->by_name, ret_count);
    struct files_file *list = arena_array(arena, struct files_file, *ret_count + 1);
    for (size_t i = 0; i < *ret_count; i++)
        list[i] = (struct files_file){
            .name = arena_printf(arena, "%s/%s", files->directory, all[i]->provider.name),
            .object_count = all[i]->provider.holding_count,
            .error_count = provider_errors(&all[i]->provider),
            .broken = all[i]->provider.broken,
        };
    free(all);
    return list;
}
