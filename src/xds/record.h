/* The commit record (resource Snapshot): written from a set, read from a peer, held against a set.
 * The one resource whose meaning this layer knows. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/fault.h"
#include "schema/version.h"
#include "xds/resource_set.h"

/* One owner; the same sums and version always give the same bytes. */
struct resource *record_new(const struct resource_sums *sums,
                            const struct snapshot_version *version);

/* What a record is made of. */
struct record_content {
    const struct resource_sums *sums;
    const struct snapshot_version *version;
};
/* `record` (what record_new made of `content`) under its own resource version, but naming only what
 * differs from the record before it on the stream. One owner; `record` itself, shared, where that
 * may be everything. */
struct resource *record_since(struct resource *record, const struct record_content *content,
                              const struct record_content *before);
/* The other way: `bytes` made whole by the record before it (empty: none), in `arena` or `bytes`
 * itself. ERR_INVALID: changes of something else; else as schema_unpack. */
MUST_USE enum err record_complete(struct text bytes, struct text base, struct arena *arena,
                                  struct text *ret_whole);

struct record {
    struct snapshot_version version;
    struct digest digest;                         /* over all types, as its writer says */
    const Nantian__Config__V1__Snapshot *message; /* in the arena it was read into */
};

/* ERR_PROTOCOL, ERR_LIMIT as schema_unpack; ERR_INVALID: no version or no digest in it, or it
 * names changes only. */
MUST_USE enum err record_read(struct text bytes, struct arena *arena, struct record *ret_record);

enum record_fit {
    RECORD_FITS,
    RECORD_INCOMPLETE, /* counts differ, or it names a type that we do not know */
    RECORD_DIGEST,     /* the same number of resources, but others */
};
/* One fault per type that does not fit. */
enum record_fit record_check(const struct record *record, const struct resource_sums *sums,
                             struct faults *faults);
