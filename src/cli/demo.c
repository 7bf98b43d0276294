/* nantian demo: both planes as real processes over commented YAML, two echo backends in this
 * process, and a request through all of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/value.h"
#include "cli/cli.h"
#include "cli/demo_files.h"
#include "cli/echo.h"
#include "cli/fetch.h"
#include "cli/planes.h"

#define READY_MS 10000

struct demo {
    bool once, keep;
    uint16_t port;
    const char *root; /* holds config/ and state/ */
    struct arena arena;
    struct loop *loop;
    struct planes planes;
    struct echo *echos[2];
    struct text config, state;
    uint16_t gateway_port, admin_port;
    uint64_t began_ns;
    int lock; /* of the state directory; -1: none */
};

/* NULL, or why not. */
static const char *make_root(struct demo *demo)
{
    const char *tmp = getenv("TMPDIR"), *why = NULL;
    if (demo->root != NULL) {
        if (mkdir(demo->root, 0755) != 0 && errno != EEXIST)
            return strerrordesc_np(errno);
        char *absolute = realpath(demo->root, NULL);
        if (absolute == NULL)
            return strerrordesc_np(errno);
        demo->root = arena_string(&demo->arena, text_of(absolute));
        free(absolute);
    } else {
        char *path = arena_string(&demo->arena, arena_printf(&demo->arena, "%s/nantian-demo-XXXXXX",
                                                             tmp != NULL ? tmp : "/tmp"));
        demo->root = mkdtemp(path);
        if (demo->root == NULL)
            return strerrordesc_np(errno);
    }
    demo->config = arena_printf(&demo->arena, "%s/config", demo->root);
    demo->state = arena_printf(&demo->arena, "%s/state", demo->root);
    if (mkdir(demo->config.data, 0755) != 0 && errno != EEXIST)
        return strerrordesc_np(errno);
    demo->lock = place_take(demo->state, &why);
    return why;
}

static bool start_echos(struct demo *demo)
{
    static const char *const names[] = {"echo-v1", "echo-v2"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct address any;
        if (!address_parse(TEXT("127.0.0.1"), 0, &any))
            return false;
        demo->echos[i] = echo_new(demo->loop, &any, names[i]);
        if (demo->echos[i] == NULL)
            return false;
    }
    return true;
}

static uint16_t pick_port(const char *what, uint16_t wanted)
{
    uint16_t port = place_free_port(wanted);
    if (port != wanted && port != 0)
        printf("port %u is busy: the %s takes %u\n", wanted, what, port);
    return port;
}

static bool start_planes(struct demo *demo)
{
    const struct planes_options options = {
        .directory = demo->config.data,
        .state_dir = demo->state,
        .proxy_admin = arena_printf(&demo->arena, "127.0.0.1:%u", demo->admin_port).data,
        .workers = "1",
        .default_address = "127.0.0.1",
        .access_log = arena_printf(&demo->arena, "%s/access.log", demo->root).data,
        .log_format = "text",
        .log_level = "warn",
        .drain_ms = "1000",
    };
    return planes_start(&demo->planes, demo->loop, &options);
}

static struct fetch_answer get(struct demo *demo, uint16_t port, const char *path)
{
    struct address to;
    CHECK(address_parse(TEXT("127.0.0.1"), port, &to));
    return fetch_get(demo->loop, &to, arena_printf(&demo->arena, "127.0.0.1:%u", port),
                     text_of(path), 2000, &demo->arena);
}

static void on_pause(void *owner)
{
    *(bool *)owner = true;
}

static void pause_ms(struct demo *demo, uint32_t ms)
{
    bool over = false;
    struct timer timer;
    timer_init(&timer, &over, on_pause);
    loop_tick(demo->loop);
    loop_arm(demo->loop, &timer, ms);
    while (!over && loop_turn(demo->loop, (int)ms))
        continue;
    loop_disarm(demo->loop, &timer);
}

static bool wait_ready(struct demo *demo)
{
    uint64_t deadline = clock_monotonic_ns() + READY_MS * 1000000ull;
    const char *why = "nobody answered";
    while (clock_monotonic_ns() < deadline && !demo->planes.group.stopping) {
        struct fetch_answer answer = get(demo, demo->admin_port, "/readyz");
        if (answer.status == 200)
            return true;
        why = answer.status == 0 ? answer.why : arena_string(&demo->arena, answer.body);
        pause_ms(demo, 10);
    }
    fprintf(stderr, "the data plane is not ready after %d s: %s\n", READY_MS / 1000, why);
    return false;
}

/* The name of the backend that answered, from its own answer. */
static struct text backend_of(struct demo *demo, struct text body)
{
    struct faults faults;
    faults_init(&faults, &demo->arena);
    struct value *answer = NULL;
    bool parsed = value_parse_json(body, TEXT_NONE, &demo->arena, &answer, &faults);
    faults_fini(&faults);
    return parsed ? value_string(value_get(answer, "service")) : TEXT_NONE;
}

static bool check_request(struct demo *demo)
{
    struct fetch_answer answer = get(demo, demo->gateway_port, "/");
    struct text backend = backend_of(demo, answer.body);
    double seconds = (double)(clock_monotonic_ns() - demo->began_ns) / 1e9;
    if (answer.status != 200 || !text_starts_with(backend, TEXT("echo-"))) {
        fprintf(stderr, "FAILED: GET / gave %d (%s) " TEXT_FMT "\n", answer.status,
                answer.why != NULL ? answer.why : "not from a backend", TEXT_ARG(answer.body));
        return false;
    }
    printf("checked: GET / -> %d from " TEXT_FMT
           ", by HTTPRoute default/echo rule `stable` (%.2f s after the start)\n",
           answer.status, TEXT_ARG(backend), seconds);
    return true;
}

static void print_start(const struct demo *demo)
{
    printf("control plane   pid %d   xDS unix:%s/xds.sock\n", demo->planes.items[0].pid,
           demo->state.data);
    printf("data plane      pid %d   http://127.0.0.1:%u   admin http://127.0.0.1:%u\n",
           demo->planes.items[1].pid, demo->gateway_port, demo->admin_port);
    printf("backends        echo-v1, echo-v2 (built in)\n");
    printf("config          %s/*.yaml   (edit and save: live in milliseconds)\n",
           demo->config.data);
    printf("access log      %s/access.log\n", demo->root);
}

static void print_try(const struct demo *demo)
{
    uint16_t port = demo->gateway_port;
    printf("\ntry:  curl http://127.0.0.1:%u/\n", port);
    printf("      curl -H 'x-canary: yes' http://127.0.0.1:%u/\n", port);
    printf("      curl -i http://127.0.0.1:%u/old\n", port);
    printf("      curl http://127.0.0.1:%u/new/thing\n", port);
    printf("      nantian status --state-dir %s\n", demo->state.data);
    printf("      nantian explain GET http://127.0.0.1:%u/ -f %s\n", port, demo->config.data);
    printf("\nCtrl-C stops everything\n");
    fflush(stdout);
}

static int serve(struct demo *demo)
{
    demo->gateway_port = pick_port("gateway", demo->port);
    demo->admin_port = pick_port("admin port", 19000);
    if (demo->gateway_port == 0 || demo->admin_port == 0) {
        fprintf(stderr, "no free port near %u; say --port N\n", demo->port);
        return CLI_FINDINGS;
    }
    struct demo_ports ports = {demo->gateway_port, {0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(demo->echos); i++) {
        struct address address = echo_address(demo->echos[i]);
        ports.echo[i] = address_port(&address);
    }
    if (!demo_files_write(demo->config, &ports)) {
        fprintf(stderr, "cannot write to %s: %s\n", demo->config.data, strerrordesc_np(errno));
        return CLI_FINDINGS;
    }
    if (!start_planes(demo))
        return CLI_INTERNAL;
    print_start(demo);
    bool works = wait_ready(demo) && check_request(demo);
    fflush(stdout);
    if (works && !demo->once) {
        print_try(demo);
        loop_run(demo->loop);
    } else if (!demo->planes.group.stopping) {
        processes_stop(&demo->planes.group);
        loop_run(demo->loop);
    }
    planes_fini(&demo->planes);
    return works ? CLI_OK : CLI_FINDINGS;
}

static int run_demo(struct demo *demo)
{
    demo->began_ns = clock_monotonic_ns();
    log_setup("demo", true, LOG_WARN);
    demo->loop = loop_new(NULL);
    int code = CLI_FINDINGS;
    const char *why = make_root(demo);
    if (why != NULL)
        fprintf(stderr, "cannot use %s for the demo: %s; --keep DIR takes another directory\n",
                demo->root != NULL ? demo->root : "the directory of temporary files", why);
    else if (!start_echos(demo))
        fprintf(stderr, "cannot start the echo backends on 127.0.0.1: %s\n",
                strerrordesc_np(errno));
    else
        code = serve(demo);
    echo_free(demo->echos[0]);
    echo_free(demo->echos[1]);
    if (!demo->keep && demo->root != NULL)
        demo_files_remove_tree(demo->root);
    loop_free(demo->loop);
    if (demo->lock >= 0)
        close(demo->lock);
    return code;
}

static int run(int argc, char **argv)
{
    struct demo demo = {.port = 8080, .lock = -1};
    struct cli_args args;
    cli_args_init(&args, &cli_demo, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(&cli_demo);
            return CLI_OK;
        }
        if (cli_args_is(&args, "once", '\0')) {
            demo.once = true;
        } else if (cli_args_is(&args, "port", 'p')) {
            demo.port = (uint16_t)cli_args_number(&args, 1, 65535);
        } else if (cli_args_is(&args, "keep", '\0')) {
            demo.root = cli_args_value(&args);
            demo.keep = true;
        } else {
            cli_args_unknown(&args);
        }
    }
    if (args.failed)
        return CLI_USAGE;
    arena_init(&demo.arena, 0);
    int code = run_demo(&demo);
    arena_fini(&demo.arena);
    return code;
}

const struct cli_verb cli_demo = {
    .name = "demo",
    .summary = "start a whole gateway with backends here and now, to try it",
    .usage = "[--once] [--port N] [--keep DIR]\n\n"
             "  --once      check one request, stop, exit 0 if it worked\n"
             "  --port N    the gateway's port (8080, or the next free one)\n"
             "  --keep DIR  put configuration and state there and leave them",
    .run = run,
};
