/* Listing, reading and watching one directory. The parent is watched as well: a deployment may swap
 * the directory itself, or the link that leads to it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"

/* Not IN_MODIFY: a file that is being written is read when the writer closes it, so that half of it
 * is never taken for the whole. */
#define CHANGES                                                                                    \
    (IN_CREATE | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_DELETE_SELF | IN_MOVE_SELF)

struct directory_watch {
    char *path;        /* owns */
    char *parent;      /* owns */
    struct text leaf;  /* view into path */
    int inside, above; /* inotify's numbers; -1: none */
    struct loop *loop;
    struct watch watch;
    void *owner;
    const struct directory_events *events;
};

static char *join(const char *path, struct text name)
{
    size_t len = strlen(path);
    char *full = memory_resize(NULL, len + name.len + 2);
    memcpy(full, path, len);
    full[len] = '/';
    memcpy(full + len + 1, name.data, name.len);
    full[len + 1 + name.len] = '\0';
    return full;
}

bool directory_counts(struct text name)
{
    if (name.len == 0 || name.data[0] == '.')
        return false;
    return text_ends_with(name, TEXT(".yaml")) || text_ends_with(name, TEXT(".yml")) ||
           text_ends_with(name, TEXT(".json"));
}

static int by_text(const void *a, const void *b)
{
    return text_compare(*(const struct text *)a, *(const struct text *)b);
}

bool directory_list(const char *path, struct arena *arena, struct text **ret_names,
                    size_t *ret_count)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return false;
    struct text *names = NULL;
    size_t count = 0, cap = 0;
    const struct dirent *entry = NULL;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        struct text name = text_of(entry->d_name);
        struct directory_stamp stamp;
        if (!directory_counts(name) || !directory_stamp(path, name, &stamp))
            continue;
        names = memory_grow(names, count, &cap, sizeof(*names));
        names[count++] = arena_text(arena, name);
    }
    int why = errno; /* half a list would take down what the other half holds */
    closedir(directory);
    if (count > 0)
        qsort(names, count, sizeof(*names), by_text);
    *ret_names = arena_array(arena, struct text, count + 1);
    for (size_t i = 0; i < count; i++)
        (*ret_names)[i] = names[i];
    *ret_count = count;
    free(names);
    errno = why;
    return why == 0;
}

bool directory_stamp(const char *path, struct text name, struct directory_stamp *ret_stamp)
{
    char *full = join(path, name);
    struct stat target, itself;
    *ret_stamp = (struct directory_stamp){0};
    bool is_seen = lstat(full, &itself) == 0;
    bool is_gone = !is_seen && (errno == ENOENT || errno == ENOTDIR);
    if (is_seen && stat(full, &target) != 0)
        target = itself; /* a link to nothing, until there is something */
    free(full);
    if (!is_seen)
        return !is_gone;
    *ret_stamp = (struct directory_stamp){
        .device = target.st_dev,
        .inode = target.st_ino,
        .size = S_ISREG(target.st_mode) ? (uint64_t)target.st_size : 0,
        .changed_ns = /* also when only rights change: it may be readable now */
        (uint64_t)target.st_ctim.tv_sec * 1000000000u + (uint64_t)target.st_ctim.tv_nsec,
        .is_link = S_ISLNK(itself.st_mode),
    };
    return true;
}

bool directory_stamp_equal(const struct directory_stamp *a, const struct directory_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_ns == b->changed_ns;
}

const char *directory_read(const char *path, struct arena *arena, struct text *ret_content)
{
    struct stat facts;
    if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode))
        return "not a regular file"; /* to open a device may do something, a pipe wakes its writer
                                      */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return strerrordesc_np(errno);
    if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        close(fd);
        return "not a regular file";
    }
    if (facts.st_size > LIMIT_FILE_BYTES) {
        close(fd);
        return "larger than 256 MiB: split it";
    }
    char *content = arena_alloc(arena, (size_t)facts.st_size + 1);
    size_t len = 0;
    const char *why = NULL;
    while (len < (size_t)facts.st_size) {
        ssize_t got = read(fd, content + len, (size_t)facts.st_size - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            why = strerrordesc_np(errno);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    close(fd);
    *ret_content = text_from(content, len);
    return why;
}

void directory_watch_renew(struct directory_watch *watch)
{
    int inside = inotify_add_watch(watch->watch.fd, watch->path, CHANGES);
    if (inside != watch->inside && watch->inside >= 0)
        (void)inotify_rm_watch(watch->watch.fd, watch->inside); /* it may have gone by itself */
    watch->inside = inside;
}

/* A file that was just made is still empty or half: its writer's close is told as well. Links of
 * both kinds are whole at once, and tell nothing more. */
static bool is_unfinished(const struct directory_watch *watch, const struct inotify_event *event,
                          struct text name)
{
    struct stat facts;
    if ((event->mask & IN_CREATE) == 0)
        return false;
    char *path = join(watch->path, name);
    bool unfinished = lstat(path, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_nlink == 1;
    free(path);
    return unfinished;
}

static void on_event(struct directory_watch *watch, const struct inotify_event *event)
{
    struct text name = event->len > 0 ? text_of(event->name) : TEXT_NONE;
    bool is_above = event->wd == watch->above;
    bool is_replaced = is_above
                           ? text_equal(name, watch->leaf)
                           : event->wd == watch->inside &&
                                 (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0;
    /* A mounted volume swaps its "..data" link; an overflow says nothing at all. */
    bool is_anything =
        (event->mask & IN_Q_OVERFLOW) != 0 || (!is_above && text_starts_with(name, TEXT("..")));
    if (is_replaced)
        watch->events->on_replaced(watch->owner);
    else if (is_anything)
        watch->events->on_name(watch->owner, TEXT_NONE);
    else if (!is_above && directory_counts(name) && !is_unfinished(watch, event, name))
        watch->events->on_name(watch->owner, name);
}

static void on_ready(void *owner, uint32_t events)
{
    (void)events;
    struct directory_watch *watch = owner;
    _Alignas(struct inotify_event) char buffer[16384];
    ssize_t got = read(watch->watch.fd, buffer, sizeof(buffer));
    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *event = (const void *)(buffer + at);
        at += (ssize_t)(sizeof(*event) + event->len);
        on_event(watch, event);
    }
}

struct directory_watch *directory_watch_new(const char *path, struct loop *loop,
                                            const struct directory_events *events, void *owner)
{
    struct directory_watch *watch = memory_new(struct directory_watch);
    watch->path = memory_string(text_of(path));
    watch->loop = loop;
    watch->owner = owner;
    watch->events = events;
    watch->inside = -1;
    watch->watch = (struct watch){
        .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .owner = watch, .on_ready = on_ready};
    size_t len = strlen(watch->path);
    while (len > 1 && watch->path[len - 1] == '/')
        watch->path[--len] = '\0';
    const char *slash = strrchr(watch->path, '/');
    watch->leaf = text_of(slash == NULL ? watch->path : slash + 1);
    watch->parent = slash == NULL ? memory_string(TEXT("."))
                    : slash == watch->path
                        ? memory_string(TEXT("/"))
                        : memory_string(text_from(watch->path, (size_t)(slash - watch->path)));
    directory_watch_renew(watch);
    watch->above = inotify_add_watch(watch->watch.fd, watch->parent,
                                     IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM);
    if (watch->watch.fd < 0 || watch->inside < 0 || !loop_watch_level(loop, &watch->watch)) {
        directory_watch_free(watch);
        return NULL;
    }
    return watch;
}

void directory_watch_free(struct directory_watch *watch)
{
    if (watch == NULL)
        return;
    int fd = watch->watch.fd;
    if (fd >= 0) {
        loop_unwatch(watch->loop, &watch->watch);
        close(fd);
    }
    free(watch->path);
    free(watch->parent);
    free(watch);
}
