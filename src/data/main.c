/* nantian-proxy: the data plane's main thread. Makes the parts, hands them to each other, waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "data/admin.h"
#include "event/signals.h"
#include "xds/report_client.h"

struct program {
    struct loop *loop;
    struct signals signals;
    struct options options;
    struct config *config;
    struct status status;
    struct admin admin;
    struct report_client *report;
    struct timer drain_timer;
    bool is_stopping; /* accepting has ended */
    bool is_finished;
};

static void on_drain_timer(void *owner)
{
    struct program *program = owner;
    if (program->is_stopping) {
        log_warn("requests were still under way at the end of the drain",
                 log_int("drain_timeout_ms", (int64_t)program->options.drain_timeout_ms));
        program->is_finished = true;
        return;
    }
    program->is_stopping = true;
    rollout_drain(config_rollout(program->config));
    loop_arm(program->loop, &program->drain_timer, program->options.drain_timeout_ms);
}

/* Readiness goes first, so that whoever balances in front of us looks elsewhere. */
static void begin_drain(void *owner)
{
    struct program *program = owner;
    if (program->status.is_draining)
        return;
    log_info("draining", log_int("delay_ms", (int64_t)program->options.drain_delay_ms));
    program->status.is_draining = true;
    if (program->report != NULL)
        report_client_hurry(program->report);
    if (program->options.drain_delay_ms == 0)
        on_drain_timer(program);
    else
        loop_arm(program->loop, &program->drain_timer, program->options.drain_delay_ms);
}

static void on_drained(void *owner)
{
    struct program *program = owner;
    log_info("drained", log_str("node", program->options.node));
    program->is_finished = true;
}

static void on_applied(void *owner)
{
    struct program *program = owner;
    if (program->report != NULL)
        report_client_hurry(program->report);
}

static void on_signal(void *owner, int number)
{
    struct program *program = owner;
    if (number == SIGUSR1) {
        rollout_reopen_logs(config_rollout(program->config));
    } else if (number == SIGTERM || number == SIGINT) {
        if (program->status.is_draining) /* asked twice: now */
            program->is_finished = true;
        begin_drain(program);
    }
}

/* -- the report stream -- */

static void on_fill(void *owner, Nantian__Report__V1__DataPlaneReport *report, struct arena *arena)
{
    struct program *program = owner;
    status_fill_report(&program->status, report, arena);
}

static void on_command(void *owner, const Nantian__Report__V1__Command *command)
{
    struct program *program = owner;
    if (command->kind_case == NANTIAN__REPORT__V1__COMMAND__KIND_DRAIN && command->drain)
        begin_drain(program);
    if (command->kind_case == NANTIAN__REPORT__V1__COMMAND__KIND_LOG_LEVEL) {
        enum log_level level;
        if (log_level_parse(text_of(command->log_level), &level))
            log_setup("proxy", program->options.log_as_text, level);
    }
}

static const struct report_client_events REPORT_EVENTS = {
    .on_fill = on_fill,
    .on_command = on_command,
};

static void on_link(void *owner)
{
    struct program *program = owner;
    program->report =
        report_client_new(program->loop, config_link(program->config), &REPORT_EVENTS, program);
}

/* -- life -- */

/* As many descriptors as we may have: each client needs up to two. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool start(struct program *program)
{
    program->loop = loop_new(NULL);
    if (program->loop == NULL ||
        !signals_init(&program->signals, program->loop, program, on_signal))
        return false;
    timer_init(&program->drain_timer, program, on_drain_timer);
    program->config = config_new(&(struct config_options){
        .loop = program->loop,
        .options = &program->options,
        .owner = program,
        .on_applied = on_applied,
        .on_drained = on_drained,
    });
    if (program->config == NULL)
        return false;
    program->status = (struct status){
        .options = &program->options,
        .config = program->config,
        .started_wall_ns = clock_wall_ns(),
    };
    if (!admin_open(&program->admin, program->loop, &program->status, program, begin_drain))
        return false;
    config_on_link(program->config, program, on_link);
    config_start(program->config);
    return true;
}

static void stop(struct program *program)
{
    admin_close(&program->admin);
    report_client_free(program->report);
    config_free(program->config);
    if (program->loop != NULL) {
        signals_fini(&program->signals);
        loop_free(program->loop);
    }
    options_fini(&program->options);
}

int main(int argc, char **argv)
{
    struct program program = {.loop = NULL};
    enum options_result result = options_parse(&program.options, argc, argv);
    if (result != OPTIONS_RUN) {
        options_fini(&program.options);
        return result == OPTIONS_EXIT ? 0 : 2;
    }
    log_setup("proxy", program.options.log_as_text, program.options.log_level);
    raise_descriptors();
    bool is_started = start(&program);
    while (is_started && !program.is_finished)
        loop_turn(program.loop, -1);
    stop(&program);
    return is_started ? 0 : 1;
}
