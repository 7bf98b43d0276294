/* The directory as the kernel shows it: names, stamps, contents, and events about them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "event/loop.h"

/* Tells a changed file from an unchanged one without reading it. */
struct directory_stamp {
    uint64_t device, inode, size, changed_ns;
    bool is_link; /* a symbolic link: its target may change without an event */
};

/* Whatever is called *.yaml, *.yml or *.json, sorted; in `arena`. False: errno. */
MUST_USE bool directory_list(const char *path, struct arena *arena, struct text **ret_names,
                             size_t *ret_count);
/* Does the name count as one of them? */
bool directory_counts(struct text name);
/* Of what a link leads to, or of the link while that is missing. False: there is nothing of that
 * name. What cannot be looked at is there, with an empty stamp; what is no regular file is, too,
 * and directory_read says so. */
MUST_USE bool directory_stamp(const char *path, struct text name,
                              struct directory_stamp *ret_stamp);
bool directory_stamp_equal(const struct directory_stamp *a, const struct directory_stamp *b);
/* The whole file, in `arena`; NULL, or words why not. Opens nothing but regular files. */
const char *directory_read(const char *path, struct arena *arena, struct text *ret_content);

struct directory_events {
    /* A file that may differ; an empty name: any may (overflow, a swapped link). */
    void (*on_name)(void *owner, struct text name);
    /* What stands at the path is another directory, or none: directory_watch_renew. */
    void (*on_replaced)(void *owner);
};
struct directory_watch;
struct directory_watch *directory_watch_new(const char *path, struct loop *loop,
                                            const struct directory_events *events, void *owner);
/* Follows what stands at the path now. */
void directory_watch_renew(struct directory_watch *watch);
void directory_watch_free(struct directory_watch *watch);
