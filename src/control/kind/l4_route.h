/* TLSRoute, TCPRoute and UDPRoute: one rule that names backends; TLSRoute has hostnames too. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

struct kind_l4_rule {
    struct kind_place place;
    struct text name;
    struct kind_backend_ref *backends;
    size_t backend_count;
};

struct kind_l4_route {
    struct kind_place place; /* of spec */
    struct kind_parents parents;
    struct kind_texts hostnames; /* TLSRoute only */
    struct kind_l4_rule *rules;
    size_t rule_count;
};
