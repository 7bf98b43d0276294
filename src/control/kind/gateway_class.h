/* GatewayClass: which controller answers for the Gateways that name it. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

struct kind_gateway_class {
    struct kind_place place; /* of spec */
    struct text controller_name;
    struct kind_ref *parameters; /* NULL: absent */
    struct text description;
};
