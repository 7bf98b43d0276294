/* What a translation came to: resources for the data planes, statuses for the objects, and faults
 * for whoever asks. Kept between runs, in pieces of one object each, so that a change replaces only
 * the pieces that it reaches. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/fault.h"
#include "base/hash.h"
#include "base/json.h"
#include "control/translate/terms/status.h"
#include "schema/types.h"

struct outcome;

struct outcome_resource {
    enum resource_type type;
    struct text name;
    struct text bytes;             /* of an edit: data NULL = removed */
    struct digest digest;          /* over name, NUL, bytes, as schema/digest.h has it */
    const struct store_key *owner; /* the object it was made from; NULL in edits */
};

/* Data planes that Gateways share serve this one from now on, or do so no more. It leaves them when
 * it is gone, or when others serve it. */
struct outcome_move {
    struct text gateway; /* "namespace/name" */
    struct text fleet;   /* "/class" */
    bool joins;
};

/* What one run changed. Everything is borrowed until the next run on the same outcome. */
struct outcome_edits {
    struct arena arena;                 /* owns the arrays and the names of what is gone */
    struct outcome_resource *resources; /* each (type, name) once */
    size_t resource_count, resource_cap;
    const struct object_status **statuses; /* new or different ones */
    size_t status_count, status_cap;
    struct store_key *withdrawn; /* had a status and have none any more; may be gone altogether */
    size_t withdrawn_count, withdrawn_cap;
    struct outcome_move *moves;
    size_t move_count, move_cap;
    bool has_moved; /* a Gateway has other data planes than before: to be pushed, if nothing else */
    size_t translated; /* pieces computed: what the run cost */
};

void outcome_free(struct outcome *outcome);
const struct outcome_edits *outcome_edits(const struct outcome *outcome);
/* Rises by one with each run that changed a resource; publish remembers it with what it pushes. */
uint64_t outcome_revision(const struct outcome *outcome);
size_t outcome_piece_count(const struct outcome *outcome);

/* All resources or statuses or faults, sorted, in `arena`; what they point to is borrowed. */
struct outcome_resource *outcome_resources(const struct outcome *outcome, struct arena *arena,
                                           size_t *ret_count);
const struct object_status **outcome_statuses(const struct outcome *outcome, struct arena *arena,
                                              size_t *ret_count);
const struct fault **outcome_faults(const struct outcome *outcome, struct arena *arena,
                                    size_t *ret_count);
/* NULL: no such resource, or no status of that object. */
const struct store_key *outcome_owner(const struct outcome *outcome, enum resource_type type,
                                      struct text name);
const struct object_status *outcome_status(const struct outcome *outcome, struct store_key key);

/* Number and digest of the resources of one type, kept up to date. */
struct digest outcome_digest(const struct outcome *outcome, enum resource_type type,
                             uint64_t *ret_count);

/* A data plane that serves this Gateway runs a snapshot made at `revision`: its Programmed
 * conditions (and those of its listeners and ListenerSets) become True if nothing of it changed
 * since. Takes effect in the next translate_apply, which may have no changes. */
void outcome_set_programmed(struct outcome *outcome, struct text namespace, struct text name,
                            uint64_t revision);
/* The Gateway's data planes cannot be made as it asks (InvalidParameters), or, `why` empty, can.
 * True: that is news, and takes effect in the next translate_apply, which may have no changes. */
bool outcome_set_refused(struct outcome *outcome, struct text namespace, struct text name,
                         struct text why);
/* The same of a Gateway whose data planes cannot be made because their names are another's
 * (Programmed is False, NoResources). */
bool outcome_set_taken(struct outcome *outcome, struct text namespace, struct text name,
                       struct text why);
/* The release of Gateway API in the cluster, "v1.7.0"; empty: it does not say; data NULL: not
 * known, and nothing is said of it. Takes effect in the next translate_apply, which may have no
 * changes. */
void outcome_set_bundle(struct outcome *outcome, struct text version);
/* Its data planes: "namespace/name", its own, or "/class", those that all Gateways of the class
 * share. Empty: it is none of ours. Valid until the next run. */
struct text outcome_fleet(const struct outcome *outcome, struct text namespace, struct text name);
/* This Gateway has something to serve. */
bool outcome_serves(const struct outcome *outcome, struct text namespace, struct text name);
/* True: this Gateway has something to serve and waits for a data plane to say so. */
bool outcome_wants_programmed(const struct outcome *outcome, struct text namespace,
                              struct text name);
/* A data plane refused this resource: it is left out, and what it was made from says so, until its
 * bytes differ. False: there is no such resource with bytes of this digest (NULL: any). Takes
 * effect in the next translate_apply, which may have no changes. */
bool outcome_refuse(struct outcome *outcome, enum resource_type type, struct text name,
                    struct text why, const struct digest *digest);
/* All refused resources of a type are made again in the next translate_apply, which may have no
 * changes. False: none was refused. */
bool outcome_forgive(struct outcome *outcome, enum resource_type type);
/* False: there is no such resource. */
bool outcome_resource_digest(const struct outcome *outcome, enum resource_type type,
                             struct text name, struct digest *ret_digest);

/* [{"kind":..., "name":..., "status":{...}}, ...] in Kubernetes form, sorted. */
void outcome_status_json(const struct outcome *outcome, struct json *json);
/* {"Route": {"<name>": {fields}}, ...}: secrets' private keys are left out. */
void outcome_resources_json(const struct outcome *outcome, struct json *json);
void outcome_faults_json(const struct outcome *outcome, struct json *json);
