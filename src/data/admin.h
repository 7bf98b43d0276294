/* The admin port: health, metrics, what is served, drain. Not for the public. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/status.h"
#include "http/service.h"
#include "net/handover.h"

struct admin {
    struct service *service;
    const struct status *status; /* borrows */
    void *owner;
    void (*on_drain)(void *owner);
};

/* On a socket of `sockets` where that has it. False after words in the log. */
MUST_USE bool admin_open(struct admin *admin, struct loop *loop, const struct status *status,
                         struct handover *sockets, void *owner, void (*on_drain)(void *owner));
void admin_close(struct admin *admin);
