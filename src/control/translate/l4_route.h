/* Rules that only name backends; TLSRoute has the same shape. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/backends.h"

void l4_route_add_rules(struct route_build *build, enum backends_protocol protocol);
