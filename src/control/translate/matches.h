/* Matches of HTTPRoute and GRPCRoute rules. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/grpc_route.h"
#include "control/kind/http_route.h"
#include "control/translate/route.h"

/* False: something in them cannot be obeyed; the rule was reported as dropped. */
bool matches_http(struct route_build *build, const struct kind_http_rule *from, struct text field,
                  Nantian__Config__V1__Route *rule);
bool matches_grpc(struct route_build *build, const struct kind_grpc_rule *from, struct text field,
                  Nantian__Config__V1__Route *rule);
