/* One kind of the API server, kept in step: list in pages, then watch, for ever. What it tells is
 * enough to hold a copy; it holds none itself.
 *
 * A list is consistent (no resourceVersion is given), so that what a lagging cache says is never
 * taken for the state; a watch resumes where the last event or bookmark was; 410 lists again, and
 * so does a bookmark from before what was told (the store went back); and a list is made now and
 * then anyway, in case an event was lost. A kind that the server does not have counts as listed and
 * empty, and is asked for again. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/value.h"
#include "control/kube/client.h"

struct reflector;

struct reflector_events {
    /* A list begins (again): objects follow by on_object, in any number of calls. */
    void (*on_list)(void *owner);
    /* The object is there now, like this. `version` is the resourceVersion as a number, 0 if it is
     * none. The document lives for this call. */
    void (*on_object)(void *owner, const struct value *object, uint64_t version);
    void (*on_removed)(void *owner, const struct value *object, uint64_t version);
    /* What was not told since on_list is gone; the list is as of `version`, 0: there is no such
     * kind. */
    void (*on_listed)(void *owner, uint64_t version);
    /* A bookmark: all up to here was told. */
    void (*on_version)(void *owner, uint64_t version);
};

struct reflector_options {
    struct loop *loop;
    struct client *client;
    const char *group;           /* "" for the core; static, as the next three */
    const char *const *versions; /* the first that is served is taken; NULL ends */
    size_t version_count;        /* at most */
    const char *plural;          /* "httproutes"; copied */
    const char *selector;        /* "fieldSelector=..." or NULL */
    struct text namespace;       /* whose objects; empty: of all; borrowed for good */
    uint32_t relist_ms;          /* at most so long between two lists, should an event get lost */
    const struct reflector_events *events;
    void *owner;
};

/* Borrows the client. */
struct reflector *reflector_new(const struct reflector_options *options);
void reflector_free(struct reflector *reflector);
void reflector_start(struct reflector *reflector);
/* Lists again, now: what is told then is no older than this call. */
void reflector_relist(struct reflector *reflector);

/* A whole list was told once, or the kind is not there. */
bool reflector_is_listed(const struct reflector *reflector);
bool reflector_is_missing(const struct reflector *reflector);
/* Why it does not get on, in words, or NULL. */
const char *reflector_why(const struct reflector *reflector);
/* The API version that is asked for, as in "v1". */
const char *reflector_version(const struct reflector *reflector);

struct reflector_counters {
    uint64_t lists, watches, expired, failures;
};
const struct reflector_counters *reflector_counters(const struct reflector *reflector);

/* "/api/v1" or "/apis/GROUP/VERSION", then "/namespaces/NAMESPACE" if any, "/PLURAL", "/NAME" if
 * any. */
struct text reflector_path(struct arena *arena, const char *group, const char *version,
                           const char *plural, struct text namespace, struct text name);
/* "HTTPRoute" -> "httproutes", "RoutePolicy" -> "routepolicies", as kinds of Kubernetes go. */
struct text reflector_plural(struct arena *arena, const char *kind);
