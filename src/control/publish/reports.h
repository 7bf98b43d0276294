/* What data planes say of themselves on the report stream: the last word of each. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "event/loop.h"
#include "xds/report_server.h"

struct reports;

struct reports *reports_new(struct loop *loop);
void reports_free(struct reports *reports);
struct report_server *reports_server(struct reports *reports);
/* The last report of a node as a JSON object, or null. */
void reports_json(const struct reports *reports, struct text node, struct json *json);
