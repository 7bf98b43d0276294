/* ListenerSet: more listeners for a Gateway, owned by somebody else. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/gateway.h"

struct kind_listener_set {
    struct kind_place place;       /* of spec */
    struct kind_parent_ref parent; /* section_name and port stay empty */
    struct kind_listener *listeners;
    size_t listener_count;
};
