/* The words of gRPC authorization (envoy.service.auth.v3): a request told as attributes, and the
 * answer read. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/upstream/inquiry.h"
#include "envoy/service/auth/v3/external_auth.pb-c.h"

/* One framed CheckRequest about x, in its arena. Of the head `told` has the fields that the service
 * is told. */
struct text auth_check_ask(struct exchange *x, const struct message *told, struct text body);
/* The head of the call itself, in `arena`. */
void auth_check_head(struct message *head, struct text authority, uint32_t timeout_ms,
                     struct arena *arena);
/* NULL: the service failed, or what it says is not in these words; *ret_why has static words. */
Envoy__Service__Auth__V3__CheckResponse *auth_check_read(const struct inquiry *inquiry,
                                                         struct arena *arena, const char **ret_why);
/* Fields that the service wants in `message`; what no service may set is passed over. */
void auth_check_apply(Envoy__Service__Auth__V3__HeaderValueOption *const *options, size_t count,
                      struct message *message, struct arena *arena);
