/* W3C Trace Context (Level 1): which trace a request belongs to. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/exchange/exchange.h"

/* A request with one valid traceparent stays in its trace, and we become the parent; any other
 * begins a trace of its own, and what it said of another one (tracestate) goes. */
void trace_forward(struct exchange *x);
