/* What the process says of itself: to the control plane's report stream, and to the scrape. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "data/ceiling.h"
#include "data/config.h"
#include "nantian/report/v1/report.pb-c.h"

struct status {
    const struct options *options;
    struct config *config;
    const struct ceiling *ceiling;
    uint64_t started_wall_ns;
    bool is_draining;
};

/* A snapshot is served, nothing is drained, and there is memory for new requests. */
bool status_is_ready(const struct status *status);
void status_fill_report(const struct status *status, Nantian__Report__V1__DataPlaneReport *report,
                        struct arena *arena);
void status_write_metrics(const struct status *status, struct builder *out);
