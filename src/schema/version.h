/* The version of a snapshot: (epoch, hold, vector), as design and snapshot.proto define it. A plain
 * value; compare decides what a data plane may take. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/limits.h"
#include "base/text.h"
#include "nantian/config/v1/snapshot.pb-c.h"

struct version_component {
    char kind[LIMIT_VERSION_KIND + 1];
    uint64_t revision;
};

struct snapshot_version {
    uint64_t epoch, hold;
    uint32_t count;
    struct version_component vector[LIMIT_VERSION_KINDS]; /* sorted by kind, each once */
};

enum version_order { VERSION_OLDER, VERSION_EQUAL, VERSION_NEWER, VERSION_INCOMPARABLE };

/* How `offered` stands to `held`. A kind that one of them lacks counts as revision 0 there. */
enum version_order version_compare(const struct snapshot_version *offered,
                                   const struct snapshot_version *held);
const char *version_order_name(enum version_order order); /* "older", ... */

/* Sets one component. False: too many kinds, or a name too long or empty. */
MUST_USE bool version_set(struct snapshot_version *version, struct text kind, uint64_t revision);
uint64_t version_get(const struct snapshot_version *version, struct text kind);

/* The components of `version` that differ from those of `base`. False: more than components differ,
 * or `base` has a kind that `version` lacks. */
MUST_USE bool version_since(const struct snapshot_version *version,
                            const struct snapshot_version *base,
                            struct snapshot_version *ret_changes);

/* "3.0.17" with one kind, "3.0.Gateway:4,HTTPRoute:17" with several, "3.0.0" with none. */
struct text version_format(const struct snapshot_version *version, struct arena *arena);

/* False: more kinds than fit, a bad name, a kind twice. NULL is refused too. */
MUST_USE bool version_from_message(const Nantian__Config__V1__Version *message,
                                   struct snapshot_version *ret_version);
Nantian__Config__V1__Version *version_to_message(const struct snapshot_version *version,
                                                 struct arena *arena);
