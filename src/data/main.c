/* nantian-proxy: the data plane's main thread. Makes the parts, hands them to each other, waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "data/admin.h"
#include "data/ceiling.h"
#include "data/take_over.h"
#include "event/signals.h"
#include "xds/report_client.h"

struct program {
    struct loop *loop;
    struct signals signals;
    struct options options;
    struct config *config;
    struct status status;
    struct admin admin;
    struct ceiling ceiling;
    struct report_client *report;
    struct take_over take_over;    /* of us, by who follows */
    struct take_over_claim before; /* what we have of who was before us */
    struct timer claim_timer;      /* first: until we serve; then: until the rest is closed */
    struct timer drain_timer;
    bool is_following; /* who was before us serves as well */
    bool is_replaced;  /* who follows serves: there is no hurry to end */
    bool is_told;      /* by a signal to end, which asks for no more than a drain does */
    bool is_stopping;  /* accepting has ended */
    bool is_finished, is_failed;
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
    rollout_drain(config_rollout(program->config),
                  program->is_replaced ? LIMIT_TAKE_OVER_IDLE_MS : LIMIT_DRAIN_IDLE_MS);
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

/* -- who was before us, and who follows -- */

static size_t on_sockets(void *owner, int *fds, size_t max)
{
    struct program *program = owner;
    size_t count = rollout_sockets(config_rollout(program->config), fds, max);
    return count + service_sockets(program->admin.service, fds + count, max - count);
}

/* The one that follows has our place with the control plane, in the directory and on the ports. */
static void on_taken(void *owner)
{
    struct program *program = owner;
    log_info("another data plane has taken over", log_str("node", program->options.node));
    report_client_free(program->report);
    program->report = NULL;
    config_retire(program->config);
    service_mute(program->admin.service);
    take_over_close(&program->take_over);
    program->is_replaced = true;
    program->options.drain_delay_ms = 0; /* whoever balances in front of us sees no change */
    begin_drain(program);
}

static void open_for_heirs(struct program *program)
{
    static const struct take_over_events events = {.on_sockets = on_sockets, .on_taken = on_taken};
    if (program->options.state_dir != NULL &&
        !take_over_open(&program->take_over, program->loop, program->options.state_dir,
                        &program->before.sockets, &events, program))
        log_warn("nobody will be able to take over", log_str("why", strerrordesc_np(errno)));
}

static void on_claim_timer(void *owner)
{
    struct program *program = owner;
    if (!program->is_following) {
        handover_fini(&program->before.sockets);
        return;
    }
    log_error("no snapshot could be served in time; the data plane before us stays",
              log_int("waited_ms", LIMIT_TAKE_OVER_MS));
    program->is_finished = program->is_failed = true;
}

/* Every worker serves. */
static void confirm(struct program *program)
{
    program->is_following = false;
    take_over_confirm(&program->before);
    config_keep(program->config);
    open_for_heirs(program);
    loop_arm(program->loop, &program->claim_timer, LIMIT_TAKE_OVER_KEPT_MS);
}

static void on_applied(void *owner)
{
    struct program *program = owner;
    if (program->is_following)
        confirm(program);
    if (program->report != NULL)
        report_client_hurry(program->report);
}

static void on_signal(void *owner, int number)
{
    struct program *program = owner;
    if (number == SIGUSR1) {
        rollout_reopen_logs(config_rollout(program->config));
    } else if (number == SIGTERM || number == SIGINT) {
        if (program->is_told) /* twice: now */
            program->is_finished = true;
        program->is_told = true;
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

/* -- memory -- */

static void on_pressure(void *owner, enum pressure level)
{
    struct program *program = owner;
    rollout_pressure(config_rollout(program->config), level);
    if (program->report != NULL)
        report_client_hurry(program->report);
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

static bool claim(struct program *program)
{
    const char *why = NULL;
    program->before.fd = -1;
    if (!program->options.take_over)
        return true;
    if (!take_over_ask(program->options.state_dir, &program->before, &why)) {
        log_error("the data plane before us does not hand over", log_str("why", why));
        return false;
    }
    program->is_following = program->before.fd >= 0;
    log_info(program->is_following ? "taking over" : "nobody is there to take over from",
             log_int("sockets", (int64_t)program->before.sockets.count));
    return true;
}

static bool start(struct program *program)
{
    program->loop = loop_new(NULL);
    if (program->loop == NULL ||
        !signals_init(&program->signals, program->loop, program, on_signal))
        return false;
    timer_init(&program->drain_timer, program, on_drain_timer);
    timer_init(&program->claim_timer, program, on_claim_timer);
    if (!claim(program))
        return false;
    program->config = config_new(&(struct config_options){
        .loop = program->loop,
        .options = &program->options,
        .owner = program,
        .on_applied = on_applied,
        .on_drained = on_drained,
        .inherited = program->is_following ? &program->before.sockets : NULL,
    });
    if (program->config == NULL)
        return false;
    program->status = (struct status){
        .options = &program->options,
        .config = program->config,
        .ceiling = &program->ceiling,
        .started_wall_ns = clock_wall_ns(),
    };
    if (!ceiling_open(&program->ceiling, program->loop, program->options.memory_max, program,
                      on_pressure)) {
        log_error("memory cannot be measured", log_str("why", strerrordesc_np(errno)));
        return false;
    }
    if (!admin_open(&program->admin, program->loop, &program->status, &program->before.sockets,
                    program, begin_drain))
        return false;
    if (program->is_following)
        loop_arm(program->loop, &program->claim_timer, LIMIT_TAKE_OVER_MS);
    else
        open_for_heirs(program);
    config_on_link(program->config, program, on_link);
    config_start(program->config);
    return true;
}

static void stop(struct program *program)
{
    ceiling_close(&program->ceiling);
    take_over_close(&program->take_over);
    take_over_fini(&program->before);
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
    file_open_standard();
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
    return is_started && !program.is_failed ? 0 : 1;
}
