/* What BackendTLSPolicy, BackendLBPolicy and XBackendTrafficPolicy share: they target Services of
 * their namespace, one of a kind counts for each, and their status names the Gateways that use the
 * Service. An XBackend is a Service and its policy in one, and has the same status. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome_internal.h"
#include "control/translate/translation.h"
#include "nantian/config/v1/backend.pb-c.h"

/* Any of these kinds in that namespace. */
bool service_policy_any(struct store *store, struct text namespace);
/* The one that holds: one for the port beats one for the whole Service, then the older wins. NULL:
 * none. */
const struct kind_object *service_policy_choose(struct translation *t, enum kind_id kind,
                                                struct store_key service, struct text port_name);
/* "Conflicted" when older ones have all its targets, else no reason. */
struct verdict service_policy_conflict(struct translation *t, const struct kind_object *object);
struct kind_session_persistence;
/* "Invalid" for sessions (NULL: none wanted) that the data plane has not, else no reason. */
struct verdict service_policy_session(struct translation *t,
                                      const struct kind_session_persistence *session);
/* Faults, and the status, of one with that verdict over all of it. */
void service_policy_judge(struct translation *t, const struct kind_object *object,
                          struct piece *piece, struct verdict accepted);
/* Faults about targets that do not exist, and the status: a verdict without reason is True. */
void service_policy_status(struct translation *t, const struct kind_object *object,
                           struct piece *piece, struct verdict accepted, struct verdict resolved);

/* session.c: what a rule or a policy says, with the key of that scope. */
Nantian__Config__V1__Session *session_message(struct translation *t,
                                              const struct kind_session_persistence *from,
                                              struct text scope);
/* backend_tls.c: sets message->tls; a policy that cannot be obeyed makes the backend fail, never
 * plain text. */
struct kind_backend_tls_policy;
void backend_tls_apply(struct translation *t, const struct kind_object *object,
                       const struct kind_backend_tls_policy *policy, struct store_key client,
                       struct piece *piece, Nantian__Config__V1__Backend *message);
/* Whether it can be obeyed; no reason: yes. `object` is the policy, or the XBackend that has it. */
void backend_tls_judge(struct translation *t, const struct kind_object *object,
                       const struct kind_backend_tls_policy *policy, struct piece *piece,
                       struct verdict *ret_accepted, struct verdict *ret_resolved);
struct piece *backend_tls_piece(struct translation *t, const struct kind_object *object);
/* backend_lb.c: `scope` names the Backend, for its sessions. */
void backend_lb_apply(struct translation *t, const struct kind_object *policy, struct text scope,
                      Nantian__Config__V1__Backend *message);
struct piece *backend_lb_piece(struct translation *t, const struct kind_object *object);
/* The same of an XBackendTrafficPolicy; its sessions replace those of a BackendLBPolicy. */
void backend_lb_apply_traffic(struct translation *t, const struct kind_object *object,
                              struct text scope, Nantian__Config__V1__Backend *message);
struct piece *backend_lb_traffic_piece(struct translation *t, const struct kind_object *object);
