/* A crash is answered by a new start after a growing pause. Children end with us (PDEATHSIG), so
 * that no plane is left behind. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define STEADY_MS      10000 /* after that long a crash starts the pauses anew */

void process_arg(struct process *process, const char *arg)
{
    CHECK(process->arg_count + 1 < PROCESS_ARGS);
    process->args[process->arg_count++] = arg;
}

void process_flag(struct process *process, const char *flag, const char *value)
{
    process_arg(process, flag);
    process_arg(process, value);
}

/* In the child: only calls that are safe between fork and exec. */
static void become(const struct process *process, const char *path, pid_t parent, bool is_heir)
{
    const char *argv[PROCESS_ARGS + 3] = {process->name};
    for (size_t i = 0; i < process->arg_count; i++)
        argv[i + 1] = process->args[i];
    if (is_heir)
        argv[process->arg_count + 1] = process->heir_arg;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent)
        execv(path, (char *const *)(const void *)argv);
    _exit(127);
}

/* The program beside our own. */
static bool find(const char *name, char *path, size_t size)
{
    ssize_t len = readlink("/proc/self/exe", path, size - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    char *slash = strrchr(path, '/');
    size_t room = size - (size_t)(slash + 1 - path);
    return (size_t)snprintf(slash + 1, room, "%s", name) < room && access(path, X_OK) == 0;
}

/* The new process, or 0. */
static pid_t spawn(struct process *process, const char *path, bool is_heir)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(process, path, parent, is_heir);
    if (pid < 0)
        log_error("cannot start", log_str("program", process->name),
                  log_str("err", strerrordesc_np(errno)));
    return pid < 0 ? 0 : pid;
}

static void start(struct process *process)
{
    char path[4096];
    if (!find(process->name, path, sizeof(path))) {
        log_error("program is missing", log_str("program", process->name),
                  log_str("hint", "it must stand beside the nantian binary"));
        process->group->exit_code = 1;
        processes_stop(process->group);
        return;
    }
    process->pid = spawn(process, path, false);
    if (process->pid == 0) {
        loop_arm(process->group->loop, &process->restart, BACKOFF_MAX_MS);
        return;
    }
    process->started_ms = loop_now_ms(process->group->loop);
}

static void on_restart(void *owner)
{
    start(owner);
}

static void ended(struct process *process, int status)
{
    struct processes *group = process->group;
    process->pid = 0;
    if (group->stopping)
        return;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 2 || code == 127) { /* it did not understand its flags: again would not help */
        log_error("cannot run", log_str("program", process->name), log_int("exit", code));
        group->exit_code = 2;
        processes_stop(group);
        return;
    }
    if (loop_now_ms(group->loop) - process->started_ms > STEADY_MS || process->backoff_ms == 0)
        process->backoff_ms = BACKOFF_MIN_MS;
    process->restarts++;
    log_warn("ended; starting it again", log_str("program", process->name), log_int("exit", code),
             log_int("in_ms", process->backoff_ms));
    loop_arm(group->loop, &process->restart, process->backoff_ms);
    process->backoff_ms = MIN(process->backoff_ms * 2, (uint32_t)BACKOFF_MAX_MS);
}

/* Beside the one that runs; that one goes when it is told by its heir, and not before. */
static void start_heir(struct process *process)
{
    char path[4096];
    if (process->heir_arg == NULL || process->pid == 0 || process->group->stopping)
        return;
    if (process->heir != 0)
        log_warn("the one before the last is still draining", log_str("program", process->name));
    else if (!find(process->name, path, sizeof(path)))
        log_error("program is missing; the old one runs on", log_str("program", process->name));
    else if ((process->heir = spawn(process, path, true)) != 0)
        log_info("a new one takes over", log_str("program", process->name));
}

static void heir_ended(struct process *process, int status)
{
    process->heir = 0;
    log_error("the new one has ended; the old one runs on", log_str("program", process->name),
              log_int("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
}

/* Of a process or of its heir. */
static void reaped(struct process *process, pid_t pid, int status)
{
    if (pid == process->heir) {
        heir_ended(process, status);
    } else if (process->heir == 0) {
        ended(process, status);
    } else {
        process->pid = process->heir;
        process->heir = 0;
        process->started_ms = loop_now_ms(process->group->loop);
        log_info("the old one has ended", log_str("program", process->name));
    }
}

static void tell(const struct process *process, int number)
{
    if (process->pid != 0)
        kill(process->pid, number);
    if (process->heir != 0)
        kill(process->heir, number);
}

/* The last started ends first, so that a data plane drains while its control plane is there. */
static void stop_next(struct processes *group)
{
    for (size_t i = group->count; i > 0; i--) {
        if (group->items[i - 1].pid == 0)
            continue;
        if (!group->items[i - 1].is_told)
            tell(&group->items[i - 1], SIGTERM);
        group->items[i - 1].is_told = true; /* twice would mean: at once */
        return;
    }
    loop_stop(group->loop);
}

static void reap(struct processes *group)
{
    int status = 0;
    pid_t pid = 0;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < group->count; i++)
            if (group->items[i].pid == pid || group->items[i].heir == pid)
                reaped(&group->items[i], pid, status);
    if (group->stopping)
        stop_next(group);
}

static void tell_all(struct processes *group, int number)
{
    for (size_t i = 0; i < group->count; i++)
        tell(&group->items[i], number);
}

static void on_signal(void *owner, int number)
{
    struct processes *group = owner;
    if (number == SIGCHLD)
        reap(group);
    else if (number == SIGTERM || number == SIGINT)
        processes_stop(group);
    else if (number == SIGUSR2)
        for (size_t i = 0; i < group->count; i++)
            start_heir(&group->items[i]);
    else
        tell_all(group, number);
}

static void on_kill(void *owner)
{
    tell_all(owner, SIGKILL);
}

bool processes_start(struct processes *group, struct loop *loop, struct process *items,
                     size_t count, uint32_t stop_ms)
{
    *group = (struct processes){.loop = loop, .items = items, .count = count, .stop_ms = stop_ms};
    timer_init(&group->kill_timer, group, on_kill);
    if (!signals_init(&group->signals, loop, group, on_signal))
        return false;
    for (size_t i = 0; i < count; i++) {
        items[i].group = group;
        timer_init(&items[i].restart, &items[i], on_restart);
        start(&items[i]);
    }
    return true;
}

void processes_stop(struct processes *group)
{
    bool again = group->stopping;
    group->stopping = true;
    for (size_t i = 0; i < group->count; i++)
        loop_disarm(group->loop, &group->items[i].restart);
    for (size_t i = 0; again && i < group->count; i++)
        group->items[i].is_told = false;
    if (!again)
        loop_arm(group->loop, &group->kill_timer, group->stop_ms);
    stop_next(group);
}

void processes_fini(struct processes *group)
{
    for (size_t i = 0; i < group->count; i++)
        loop_disarm(group->loop, &group->items[i].restart);
    loop_disarm(group->loop, &group->kill_timer);
    signals_fini(&group->signals);
}
