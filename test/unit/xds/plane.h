/* A data plane for tests that records what it is told, and dislikes what the test says. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "harness.h"

struct plane {
    struct loop *loop;
    struct link *link;
    struct delta_client *client;
    int offers, refusals, same, ups, downs;
    struct text version_text; /* of the last offer: valid until it is answered */
    size_t edits;             /* of the last offer */
    uint64_t revision;        /* of the last offer */
    bool wait;                /* answers come from the test */
    const char *dislikes;     /* a snapshot with this resource name is refused */
    bool dislikes_now;        /* and might be taken at another time */
    const char *node;         /* NULL: node-1 */
    char refused_reason[64];
};

static inline enum err plane_on_snapshot(void *owner, const struct delta_offer *offer,
                                         struct faults *faults)
{
    struct plane *plane = owner;
    plane->offers++;
    plane->version_text = offer->version_text;
    plane->edits = offer->edits->count;
    plane->revision = version_get(offer->version, TEXT("directory"));
    if (plane->dislikes != NULL &&
        resource_set_get(offer->next, RESOURCE_ROUTE, text_of(plane->dislikes)) != NULL) {
        struct arena arena;
        arena_init(&arena, 0);
        struct fault fault = {.code = "InvalidRegex",
                              .where = arena_printf(&arena, "Route %s", plane->dislikes),
                              .field = TEXT("matches[0].path.value"),
                              .hint = TEXT("Close the bracket."),
                              .is_local = plane->dislikes_now};
        faults_add(faults, &fault, "the regular expression is not valid");
        arena_fini(&arena);
        return ERR_INVALID;
    }
    return plane->wait ? ERR_AGAIN : ERR_NONE;
}

static inline void plane_on_connected(void *owner, bool connected, const char *why)
{
    struct plane *plane = owner;
    (void)why;
    *(connected ? &plane->ups : &plane->downs) += 1;
}

static inline void plane_on_refused(void *owner, const char *reason, struct text words)
{
    struct plane *plane = owner;
    (void)words;
    plane->refusals++;
    copy_words(plane->refused_reason, sizeof(plane->refused_reason), text_of(reason));
}

static inline void plane_on_same(void *owner, const struct snapshot_version *version)
{
    (void)version;
    ((struct plane *)owner)->same++;
}

static inline void plane_open(struct plane *plane, struct loop *loop, const struct address *to)
{
    static const struct delta_client_events EVENTS = {.on_snapshot = plane_on_snapshot,
                                                      .on_connected = plane_on_connected,
                                                      .on_refused = plane_on_refused,
                                                      .on_same = plane_on_same};
    struct link_options link = {.loop = loop, .addresses = to, .count = 1};
    plane->loop = loop;
    plane->link = link_new(&link);
    struct delta_client_options options = {.loop = loop,
                                           .link = plane->link,
                                           .node = text_of(plane->node ? plane->node : "node-1"),
                                           .cluster = TEXT("default/web"),
                                           .product_version = TEXT("0.1.0"),
                                           .events = &EVENTS,
                                           .owner = plane};
    plane->client = delta_client_new(&options);
}

static inline void plane_start(struct plane *plane, struct loop *loop, const struct address *to)
{
    plane_open(plane, loop, to);
    link_start(plane->link);
}

static inline void plane_stop(struct plane *plane)
{
    delta_client_free(plane->client);
    link_free(plane->link);
    settle(plane->loop);
}

static inline uint64_t plane_holds(const struct plane *plane)
{
    const struct snapshot_version *version = delta_client_version(plane->client);
    return version == NULL ? 0 : version_get(version, TEXT("directory"));
}

/* "" if there is none of that name. */
static inline struct text plane_content(const struct plane *plane, enum resource_type type,
                                        const char *name)
{
    struct resource *one =
        resource_set_get(delta_client_accepted(plane->client), type, text_of(name));
    return one == NULL ? TEXT("") : resource_bytes(one);
}
