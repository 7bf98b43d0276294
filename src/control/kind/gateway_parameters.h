/* GatewayParameters: how the data planes of a Gateway, or of all Gateways of a class, are to look.
 * Ours; named by GatewayClass.parametersRef and Gateway.spec.infrastructure.parametersRef. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

/* The objects that data planes are made of, each with its overlay. */
enum kind_overlay {
    KIND_OVERLAY_SERVICE_ACCOUNT,
    KIND_OVERLAY_CONFIG_MAP,
    KIND_OVERLAY_SERVICE,
    KIND_OVERLAY_DEPLOYMENT,
    KIND_OVERLAY_SCALER,     /* HorizontalPodAutoscaler */
    KIND_OVERLAY_DISRUPTION, /* PodDisruptionBudget */
    KIND_OVERLAYS,
};

/* How many fleets of data planes the Gateways of a class have. */
enum kind_fleet {
    KIND_FLEET_PER_GATEWAY, /* when it is not said */
    KIND_FLEET_SHARED,      /* one for all of them, in the namespace of the parameters */
};

struct kind_gateway_parameters {
    struct kind_place place; /* of spec */
    enum kind_fleet fleet;
    struct text overlays[KIND_OVERLAYS]; /* strategic merge patches, JSON; empty: none */
};

/* The field of spec: "horizontalPodAutoscaler". Static. */
const char *kind_overlay_name(enum kind_overlay overlay);
