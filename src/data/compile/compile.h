/* Turns changes of resources into the next snapshot, on the main thread. Keeps what is compiled by
 * resource name, so that a change costs what it touches. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/fault.h"
#include "base/hash.h"
#include "data/snapshot/snapshot.h"
#include "net/tls.h"
#include "schema/types.h"

struct compile;

struct compile_options {
    tls_pick pick;                /* which certificate answers: the worker's */
    tls_admit admit;              /* whether a handshake may begin: likewise; NULL: all */
    const char *const *alpn;      /* of HTTPS listeners; NULL: "h2", "http/1.1" */
    const struct text *addresses; /* for listeners that name none; none: "0.0.0.0" */
    size_t address_count;
    struct text zone; /* where we run; empty: not known */
};

struct compile_edit {
    enum resource_type type;
    struct text name, bytes; /* borrow */
    bool removed;
};

/* Copies what it needs of `options` but `alpn` and `zone`, which must stay. */
struct compile *compile_new(const struct compile_options *options);
void compile_free(struct compile *compile);

/* All edits or none: on ERR_INVALID every fault found stands in `faults` and nothing has changed.
 * *ret_snapshot is the caller's reference. `version` and `digest` are passed through. */
/* NOLINTNEXTLINE(readability-function-size): one call site a program, and each word is needed */
MUST_USE enum err compile_apply(struct compile *compile, const struct compile_edit *edits,
                                size_t count, struct text version, struct digest digest,
                                struct snapshot **ret_snapshot, struct faults *faults);

/* A fault's `where` is "<full type name> <resource name>": the two halves, for a Refusal. */
void compile_fault_split(const struct fault *fault, struct text *ret_type,
                         struct text *ret_resource);

/* Host names that somebody must resolve (ExternalName): asks for each, and takes the addresses;
 * they count from the next compile_apply on, which may have no edits. `backend` is a resource name;
 * false: there is none of that name, or it has no host name. */
void compile_dns_walk(const struct compile *compile, void *owner,
                      void (*on_name)(void *owner, struct text backend, struct text dns_name));
/* Backends with a health check: asks for each, and takes what was found about an endpoint. As with
 * names. */
void compile_health_walk(const struct compile *compile, void *owner,
                         void (*on_backend)(void *owner, struct backend *backend));
bool compile_health_set(struct compile *compile, struct text backend, uint64_t endpoint,
                        bool is_up);
bool compile_dns_resolved(struct compile *compile, struct text backend,
                          const struct address *addresses, size_t count);
