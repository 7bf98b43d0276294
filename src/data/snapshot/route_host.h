/* A virtual host of a route table: the rules of one host name, by their paths. Immutable, counted.
 * The host with one place alone, as most have, is one piece of memory: path and candidates are read
 * together. Used by route_table.c alone. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"
#include "data/snapshot/host_table.h"
#include "data/snapshot/route_set.h"

/* Prefixes of more elements than this stand in a list: nobody writes them. */
#define ROUTE_DEPTH_MAX 63u

enum place_kind { PLACE_EXACT, PLACE_REGEX, PLACE_DEEP, PLACE_PREFIX }; /* in order of precedence */

/* What stands before a host with several places, so that it is where it is known to be. */
struct route_host_paths {
    struct shard_map *exact; /* shares -> route_set */
    struct shard_map *prefix;
    struct route_set *regexes, *deep; /* shares */
    uint64_t depths;                  /* bit d: there are prefixes of d elements */
    uint8_t one_depth;                /* the only one besides 0, else 0 */
    uint32_t depth_len; /* behind the host: uint32_t depth_counts[depth_len], for edits */
};

enum host_form {
    HOST_LONE,     /* one place: a route_set stands behind, no paths before */
    HOST_PREFIXES, /* nothing but `paths->prefix` */
    HOST_MIXED,
};

struct route_host {
    _Atomic uint32_t refs;
    uint16_t name_len;
    uint8_t form;
    uint8_t lone_kind; /* PLACE_EXACT or PLACE_PREFIX */
    const char *name;  /* behind all of it, with a NUL: a match does not read it */
};

static inline struct text route_host_name(const struct route_host *host)
{
    return text_from(host->name, host->name_len);
}

static inline const struct route_set *route_host_lone(const struct route_host *host)
{
    return (const void *)(host + 1);
}

static inline const struct route_host_paths *route_host_paths(const struct route_host *host)
{
    return (const struct route_host_paths *)(const void *)host - 1;
}

/* What the maps must know: here, so that a look-up calls nothing for it. */
void *route_host_share_set(void *value);
void route_host_drop_set(void *value);
void route_host_brief_set(const void *value, struct shard_brief *ret_brief);
void route_host_brief(const void *value, struct shard_brief *ret_brief);
void *route_host_share(void *value);
void route_host_drop(void *value);

static inline struct text route_host_set_key(const void *value)
{
    return route_set_path(value);
}

static inline struct text route_host_key(const void *value)
{
    return route_host_name(value);
}

/* Paths -> route_set; beside it stand, where a path says all, the route and the match. */
static const struct shard_ops route_set_ops = {.ref = route_host_share_set,
                                               .unref = route_host_drop_set,
                                               .key = route_host_set_key,
                                               .brief = route_host_brief_set};

/* Names -> route_host; beside one that has but one place, whose path says all, stand route, match
 * and path, marked if that is a prefix; beside one of prefixes of one depth stand NULL, the map of
 * those, and the depth as a byte, marked if there is the empty prefix too. */
static const struct host_ops route_host_ops = {
    .exact = {.ref = route_host_share,
              .unref = route_host_drop,
              .key = route_host_key,
              .brief = route_host_brief},
    .wild = {.ref = route_host_share,
             .unref = route_host_drop,
             .key = route_host_key,
             .key_skip = 1,
             .brief = route_host_brief},
};

void route_host_unref(struct route_host *host);
/* The host with these changes, sorted by route_host_compare and all of its name; NULL when no rule
 * is left. `old` may be NULL. */
struct route_host *route_host_edit(const struct route_host *old, const struct route_place *places,
                                   size_t count);
/* By kind, then by path. */
int route_host_compare(const struct route_place *a, const struct route_place *b);
/* Every set, in no particular order of paths. */
void route_host_walk(const struct route_host *host, void *owner,
                     void (*on_set)(void *owner, enum place_kind kind,
                                    const struct route_set *set));

/* Elements of a prefix: 2 of "/a/b", 0 of "". */
uint32_t route_host_depth(struct text prefix);
