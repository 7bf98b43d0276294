/* Who may see what: a data plane of one Gateway sees the Listeners and Routes of that Gateway, and
 * what those refer to, all the way down. Kept up to date by counting references. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "xds/delta_server.h"

struct scopes;

/* From now on `gateway` ("namespace/name") sees the resource, or does so no more. */
typedef void (*scopes_turned)(void *owner, struct text gateway, enum resource_type type,
                              struct text name);

struct scopes *scopes_new(scopes_turned turned, void *owner);
void scopes_free(struct scopes *scopes);

/* To be told before delta_server_publish; calls back for each turn. */
void scopes_take(struct scopes *scopes, const struct delta_edit *edits, size_t count);

bool scopes_sees(const struct scopes *scopes, struct text gateway, enum resource_type type,
                 struct text name);
