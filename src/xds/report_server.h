/* The control plane's end of the report stream: reports in, bounded in size and rate; commands out.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "nantian/report/v1/report.pb-c.h"
#include "xds/report_client.h" /* REPORT_METHOD */

struct report_server_events {
    /* Unpacked, and gone after the call; copy what is to be kept. */
    void (*on_report)(void *owner, const Nantian__Report__V1__DataPlaneReport *report);
    /* The stream on which this node reported has ended. May be NULL. */
    void (*on_gone)(void *owner, struct text node);
};

struct report_server_counters {
    uint64_t reports, bytes, dropped, unreadable;
};

struct report_server;
struct report_server *report_server_new(struct loop *loop,
                                        const struct report_server_events *events, void *owner);
void report_server_free(struct report_server *server);
/* For the method table of a grpc_server: a call of REPORT_METHOD. */
void report_server_call(struct report_server *server, struct grpc_call *call);
/* To every stream of that node, or of all when `node` is empty; how many were told. */
size_t report_server_command(struct report_server *server, struct text node,
                             const Nantian__Report__V1__Command *command);
const struct report_server_counters *report_server_counters(const struct report_server *server);
