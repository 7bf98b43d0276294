/* Whether an object may refer to one of another namespace: decided here and nowhere else. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

struct grants_reference {
    enum kind_id from;
    struct text from_namespace;
    struct text group, kind, namespace, name; /* what it refers to */
};

/* True within one namespace, and where a ReferenceGrant of the target's namespace says so. */
bool grants_permit(struct store *store, const struct grants_reference *reference);
