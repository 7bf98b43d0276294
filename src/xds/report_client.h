/* The data plane's end of the report stream: says how it is at a steady pace, hears commands. Comes
 * back by itself; a control plane without the service costs one try in a while. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "nantian/report/v1/report.pb-c.h"
#include "xds/link.h"

#define REPORT_METHOD "/nantian.report.v1.ReportService/Report"

struct report_client_events {
    /* Fills what it wants to say; all in `arena`. Asked every LIMIT_REPORT_MS while the last report
     * is on its way or gone: a slow connection makes reports rarer, never older. */
    void (*on_fill)(void *owner, Nantian__Report__V1__DataPlaneReport *report, struct arena *arena);
    void (*on_command)(void *owner, const Nantian__Report__V1__Command *command); /* may be NULL */
};

struct report_client_counters {
    uint64_t sent, bytes, skipped, commands, failures;
};

struct report_client;
struct report_client *report_client_new(struct loop *loop, struct link *link,
                                        const struct report_client_events *events, void *owner);
void report_client_free(struct report_client *client);
/* Does not wait for the next round: something happened that the control plane should know. */
void report_client_hurry(struct report_client *client);
const struct report_client_counters *report_client_counters(const struct report_client *client);
