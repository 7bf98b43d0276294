/* Digests of resources, types and snapshots as api/proto/nantian/config/v1/snapshot.proto defines
 * them: both planes compute them apart and must agree. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/hash.h"

/* What a resource adds to the digest of its type; `keyed` is its name, a NUL, its bytes. */
static inline struct digest schema_digest_keyed(struct text keyed)
{
    return hash_digest(keyed);
}

static inline void schema_digest_add(struct digest *sum, struct digest one)
{
    sum->high += one.high;
    sum->low += one.low;
}

static inline void schema_digest_remove(struct digest *sum, struct digest one)
{
    sum->high -= one.high;
    sum->low -= one.low;
}

/* A type as the snapshot digest sees it. */
struct schema_type_digest {
    struct text type; /* "nantian.config.v1.Route" */
    uint64_t count;
    struct digest digest;
};

/* Over the types in order of their names; types without a resource leave no trace, so a plane that
 * knows one type more computes the same. The array is put in that order. */
struct digest schema_digest_snapshot(struct schema_type_digest *types, size_t count);
