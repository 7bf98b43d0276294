/* Signals as events of the loop (signalfd); blocked in every thread before any is made. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "event/loop.h"

struct signals {
    struct loop *loop;
    struct watch watch;
    void *owner;
    void (*on_signal)(void *owner, int number);
};

/* SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD are told; SIGPIPE and SIGXFSZ (a file is as
 * long as it may be) are ignored. Call before threads. */
MUST_USE bool signals_init(struct signals *signals, struct loop *loop, void *owner,
                           void (*on_signal)(void *owner, int number));
void signals_fini(struct signals *signals);
