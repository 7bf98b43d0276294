/* GatewayClass. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/gateway_class.h"

#include "control/kind/format.h"
#include "control/kind/shapes.h"

static const struct decode_field fields[] = {
    {"controllerName", DECODE_TEXT, .is_required = true,
     .offset = offsetof(struct kind_gateway_class, controller_name), .format = &format_controller},
    {"parametersRef", DECODE_POINTER, .offset = offsetof(struct kind_gateway_class, parameters),
     .shape = &kind_shape_object_ref},
    {"description", DECODE_TEXT, .offset = offsetof(struct kind_gateway_class, description),
     .format = &format_description},
};

const struct decode_shape kind_shape_gateway_class = {
    .size = sizeof(struct kind_gateway_class),
    .fields = fields,
    .count = ARRAY_LEN(fields),
};
