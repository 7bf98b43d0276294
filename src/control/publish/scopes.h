/* Who may see what: a data plane of one Gateway sees the Listeners and Routes of that Gateway, and
 * what those refer to, all the way down; one of a fleet that Gateways share, those of all of them.
 * Kept up to date by counting references. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "xds/delta_server.h"

struct scopes;

/* From now on `who` ("namespace/name" or "/class") sees the resource, or does so no more. */
typedef void (*scopes_turned)(void *owner, struct text who, enum resource_type type,
                              struct text name);

struct scopes *scopes_new(scopes_turned turned, void *owner);
void scopes_free(struct scopes *scopes);

/* A fleet ("/class") sees from now on what the Gateway sees, or does so no more. To be told before
 * the edits of the same push. */
void scopes_move(struct scopes *scopes, struct text gateway, struct text fleet, bool joins);
/* To be told before delta_server_publish; calls back for each turn. */
void scopes_take(struct scopes *scopes, const struct delta_edit *edits, size_t count);

bool scopes_sees(const struct scopes *scopes, struct text who, enum resource_type type,
                 struct text name);
