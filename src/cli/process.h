/* Child processes of `up` and `demo`: started, watched, restarted, stopped. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "event/loop.h"
#include "event/signals.h"

#define PROCESS_ARGS 40

struct processes;

/* One program; argv[0] is filled in. Strings are borrowed and must outlive the processes. */
struct process {
    const char *name;               /* "nantian-control": beside our own binary */
    const char *args[PROCESS_ARGS]; /* NULL-terminated, without argv[0] */
    size_t arg_count;
    pid_t pid;            /* 0: not running */
    pid_t heir;           /* takes over from `pid`, which ends then; 0: nobody does */
    const char *heir_arg; /* with which it is started too; NULL: never */
    bool is_told; /* to end */
    uint64_t started_ms;
    uint32_t backoff_ms, restarts;
    struct timer restart;
    struct processes *group;
};

struct processes {
    struct loop *loop;
    struct signals signals;
    struct process *items; /* borrows */
    size_t count;
    bool stopping;
    int exit_code; /* of the first that could not be started */
    struct timer kill_timer;
    uint32_t stop_ms; /* between SIGTERM and SIGKILL */
};

void process_arg(struct process *process, const char *arg);
void process_flag(struct process *process, const char *flag, const char *value);
/* Starts all; the loop's signals are handled here from now on: SIGTERM and SIGINT stop, SIGUSR2
 * starts an heir of each process that has a word for it, others are passed on. */
MUST_USE bool processes_start(struct processes *group, struct loop *loop, struct process *items,
                              size_t count, uint32_t stop_ms);
/* SIGTERM to all; loop_stop when the last is gone. */
void processes_stop(struct processes *group);
void processes_fini(struct processes *group);
