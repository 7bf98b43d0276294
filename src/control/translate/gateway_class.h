/* GatewayClasses: which Gateways are ours. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/translation.h"

enum gateway_class_standing {
    GATEWAY_CLASS_OURS,
    GATEWAY_CLASS_IMPLIED, /* standalone, and there is no GatewayClass at all */
    GATEWAY_CLASS_INVALID, /* ours, but not accepted */
    GATEWAY_CLASS_OTHER,
    GATEWAY_CLASS_MISSING,
};

enum gateway_class_standing gateway_class_standing(struct translation *t, struct text name);
/* NULL: somebody else's. */
struct piece *gateway_class_piece(struct translation *t, const struct kind_object *object);
