/* Compiled configuration in words, for routes and explain. All text in `arena`. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "data/snapshot/route.h"

/* "PathPrefix /api, header x-canary=yes, GET" */
struct text describe_match(const struct route_match *match, struct arena *arena);
/* "default/echo-v1:80 90%, default/echo-v2:80 10%"; "none: 500"; "none: redirected" */
struct text describe_backends(const struct route *route, struct arena *arena);
/* "url_rewrite, request_headers"; empty without any */
struct text describe_filters(const struct filter_chain *chain, struct arena *arena);
