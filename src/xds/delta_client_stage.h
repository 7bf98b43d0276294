/* The two sets of a data plane and what differs between them; no stream, no clock. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "xds/record.h"
#include "xds/resource_set.h"

struct delta_client_stage {
    struct resource_set accepted, staged;
    struct map touched[RESOURCE_TYPES]; /* name -> a resource of that name, shares */
    struct resource_edits pending;      /* on the owner's table */
    bool is_pending;
};

void delta_client_stage_init(struct delta_client_stage *stage);
void delta_client_stage_fini(struct delta_client_stage *stage);
/* Both sets become `set`. */
void delta_client_stage_restore(struct delta_client_stage *stage, const struct resource_set *set);

/* Checks all of a response, then stages it. ERR_INVALID, ERR_LIMIT: nothing was staged and
 * *ret_why says what was wrong with it. */
MUST_USE enum err
delta_client_stage_put(struct delta_client_stage *stage, enum resource_type type,
                       const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *response,
                       const char **ret_why);
/* Forgets what was staged and not accepted, and all else: the server will send everything. */
void delta_client_stage_empty(struct delta_client_stage *stage);

/* Collects into `pending` what leads from accepted to staged. */
void delta_client_stage_begin(struct delta_client_stage *stage);
/* The owner runs it: accepted follows, and holds `record`. */
void delta_client_stage_accept(struct delta_client_stage *stage, struct resource *record);
void delta_client_stage_refuse(struct delta_client_stage *stage);
