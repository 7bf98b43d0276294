/* GRPCRoute: as HTTPRoute, matched by service, method and header. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"
#include "control/kind/filter.h"

struct kind_grpc_match {
    struct kind_place place;
    bool has_method;                  /* false: every service and method */
    enum kind_match_type method_type; /* Exact when absent */
    struct text method_type_text;
    struct text service, method; /* empty: any */
    struct kind_name_match *headers;
    size_t header_count;
};

struct kind_grpc_rule {
    struct kind_place place;
    struct text name;
    struct kind_grpc_match *matches; /* none: every request */
    size_t match_count;
    struct kind_filter *filters;
    size_t filter_count;
    struct kind_backend_ref *backends;
    size_t backend_count;
    struct kind_session_persistence *session; /* NULL: absent */
};

struct kind_grpc_route {
    struct kind_place place; /* of spec */
    struct kind_parents parents;
    struct kind_texts hostnames;
    struct kind_grpc_rule *rules; /* none: the route does nothing */
    size_t rule_count;
};
