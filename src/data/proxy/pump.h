/* Bodies and tunnels, pulled: peek at the source, write to the sink, consume what was taken. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

struct transfer;

/* From the client to x->held; true: what a filter waits for is there. */
bool pump_hold(struct transfer *t);
/* From the client to the backend, as far as both allow. */
void pump_request(struct transfer *t);
/* From the backend, or from our own answer, to the client; true once it is handed over whole. */
bool pump_response(struct transfer *t);
