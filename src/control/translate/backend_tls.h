/* BackendTLSPolicy: which one holds for a Service's port, what it says, its status. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome_internal.h"
#include "control/translate/translation.h"
#include "nantian/config/v1/backend.pb-c.h"

struct backend_tls_choice {
    const struct kind_object *policy; /* NULL: none, plain text */
};

struct backend_tls_choice backend_tls_choose(struct translation *t, struct store_key service,
                                             struct text port_name);
/* Sets message->tls; a policy that cannot be obeyed makes the backend fail, never plain text. */
void backend_tls_apply(struct translation *t, const struct backend_tls_choice *choice,
                       struct piece *piece, Nantian__Config__V1__Backend *message);
struct piece *backend_tls_piece(struct translation *t, const struct kind_object *object);
