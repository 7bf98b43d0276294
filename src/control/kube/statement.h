/* What a replica tells the others, as JSON in an annotation of a Lease of its own: which Gateways'
 * data planes run which state, what they refused, what they hold that we do not come up to. Pure.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "base/hash.h"
#include "schema/types.h"
#include "schema/version.h"

/* A state that was published, and whose data planes run it. */
struct statement_cut {
    struct snapshot_version seen; /* it was whole up to here */
    struct digest digest;         /* of all its resources; the same on every replica */
    struct text *gateways;        /* "namespace/name", "/class"; empty: of all there are */
    size_t gateway_count;
};

struct statement_refusal {
    enum resource_type type;
    struct text name, why;
    struct digest digest; /* of the bytes that were refused */
};

struct statement {
    uint64_t nodes; /* data planes with a stream to this replica */
    const struct statement_cut *cuts;
    size_t cut_count;
    const struct statement_refusal *refusals;
    size_t refusal_count;
    const struct snapshot_version *claim; /* NULL: none; see versions.h */
};

/* What does not fit into LIMIT_RELAY_BYTES is left out, the last first; false then. */
bool statement_write(const struct statement *statement, struct builder *out);
/* False: it is none of ours. All lives in `arena`; `text` must as well. */
MUST_USE bool statement_read(struct text text, struct arena *arena, struct statement *ret);
