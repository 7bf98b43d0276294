/* GatewayParameters: overlays are kept as they are; what they come to shows when they are laid over
 * something. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/gateway_parameters.h"

#include "control/kind/shapes.h"

#define OVERLAY(name, overlay)                                                                     \
    {                                                                                              \
        name, DECODE_JSON,                                                                         \
            .offset = offsetof(struct kind_gateway_parameters, overlays) +                         \
                      (overlay) * sizeof(struct text)                                              \
    }

static const struct decode_name fleets[] = {
    {"PerGateway", KIND_FLEET_PER_GATEWAY},
    {"Shared", KIND_FLEET_SHARED},
    {NULL, 0},
};

/* The overlays first, in their order. */
static const struct decode_field fields[] = {
    OVERLAY("serviceAccount", KIND_OVERLAY_SERVICE_ACCOUNT),
    OVERLAY("configMap", KIND_OVERLAY_CONFIG_MAP),
    OVERLAY("service", KIND_OVERLAY_SERVICE),
    OVERLAY("deployment", KIND_OVERLAY_DEPLOYMENT),
    OVERLAY("horizontalPodAutoscaler", KIND_OVERLAY_SCALER),
    OVERLAY("podDisruptionBudget", KIND_OVERLAY_DISRUPTION),
    {"fleet", DECODE_ENUM, .offset = offsetof(struct kind_gateway_parameters, fleet),
     .names = fleets, .otherwise = "PerGateway"},
};

const struct decode_shape kind_shape_gateway_parameters = {
    .size = sizeof(struct kind_gateway_parameters),
    .fields = fields,
    .count = ARRAY_LEN(fields),
};

const char *kind_overlay_name(enum kind_overlay overlay)
{
    return fields[overlay].name;
}
