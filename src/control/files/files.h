/* A directory of YAML and JSON as the source of the store: read at start, followed by inotify.
 * Every *.yaml, *.yml and *.json directly in it counts; names that begin with '.' do not.
 *
 * A broken file harms nobody: while it has a syntax error all its objects keep their last good
 * form, and an object with errors keeps its own; everything else goes live; over restarts too. When
 * two files hold the same object, the file whose name sorts first wins and the other is a fault. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/fault.h"
#include "control/store/store.h"
#include "event/loop.h"

struct files;

struct files_events {
    /* The store or the faults changed; told once a burst of changes is over. */
    void (*on_change)(void *owner, struct files *files);
};

/* `mode` as in kind_decode. Reads nothing yet. `directory` is copied. */
struct files *files_new(struct text directory, enum kind_mode mode, struct store *store);
void files_free(struct files *files);
/* Keeps the last good content of every file under "STATE/files" from now on, and uses it for files
 * that are faulty when they are first read. Before files_load. */
void files_keep(struct files *files, struct text state_dir);

/* Reads the directory once, completely. False: it cannot be read (errno is set); what was there
 * before stays. */
MUST_USE bool files_load(struct files *files);

/* Reads that file of the directory alone, whatever its name ends in. False: there is no such file.
 */
MUST_USE bool files_load_one(struct files *files, struct text name);

/* Follows changes from now on; call after files_load. False: the kernel refuses a watch. */
MUST_USE bool files_watch(struct files *files, struct loop *loop, const struct files_events *events,
                          void *owner);
/* Reads again everything that changed, now (SIGHUP). */
void files_reload(struct files *files);

/* The faults of all files as they are now, in order of file names; in `faults`' own arena. */
void files_faults(const struct files *files, struct faults *faults);

struct files_file {
    struct text name;    /* path: directory/name */
    size_t object_count; /* now in use from this file */
    size_t error_count;  /* 0: it is clean */
    bool broken;         /* syntax error or unreadable: the objects are of an older content */
};
/* In order of names; in `arena`. */
struct files_file *files_list(const struct files *files, struct arena *arena, size_t *ret_count);
