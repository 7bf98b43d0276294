/* Why a snapshot was refused, as it travels: google.rpc.Status with a Refusal in its details. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/fault.h"
#include "google/rpc/status.pb-c.h"
#include "schema/version.h"

struct refusal {
    const char *reason; /* "invalid", "older", "incomparable", "digest", "incomplete" */
    const struct snapshot_version *offered, *held; /* may be NULL */
    const struct faults *faults;                   /* may be NULL */
};

/* A fault's `where` is "<Type> <resource name>", as in "Route default/web/http|...". The status
 * carries words for people in its message; all lives in `arena`. */
Google__Rpc__Status *refusal_to_status(const struct refusal *refusal, struct arena *arena);

/* NULL: none in it, or not readable (a stock client). */
Nantian__Config__V1__Refusal *refusal_from_status(const Google__Rpc__Status *status,
                                                  struct arena *arena);
