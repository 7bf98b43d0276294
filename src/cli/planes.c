/* The flags with which the two planes find each other: a Unix socket in the state directory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/planes.h"

#define STOP_MS 90000 /* longer than any drain */

static void flag(struct process *process, const char *name, const char *value)
{
    if (value != NULL)
        process_flag(process, name, value);
}

static void control_args(struct process *control, const struct planes_options *options,
                         struct arena *arena)
{
    control->name = "nantian-control";
    process_flag(control, "--directory", options->directory);
    process_flag(control, "--state-dir",
                 arena_printf(arena, TEXT_FMT "/control", TEXT_ARG(options->state_dir)).data);
    struct text xds = place_xds_socket(options->state_dir, arena);
    process_flag(control, "--xds", arena_printf(arena, "unix:%s", xds.data).data);
    struct text admin = place_admin_socket(options->state_dir, arena);
    process_flag(control, "--admin", arena_printf(arena, "unix:%s", admin.data).data);
    flag(control, "--admin", options->control_admin);
    flag(control, "--default-address", options->default_address);
    flag(control, "--log-format", options->log_format);
    flag(control, "--log-level", options->log_level);
}

static void proxy_args(struct process *proxy, const struct planes_options *options,
                       struct arena *arena)
{
    proxy->name = "nantian-proxy";
    proxy->heir_arg = "--take-over";
    struct text xds = place_xds_socket(options->state_dir, arena);
    process_flag(proxy, "--xds", arena_printf(arena, "unix:%s", xds.data).data);
    process_flag(proxy, "--state-dir",
                 arena_printf(arena, TEXT_FMT "/proxy", TEXT_ARG(options->state_dir)).data);
    flag(proxy, "--admin", options->proxy_admin);
    flag(proxy, "--workers", options->workers);
    flag(proxy, "--access-log", options->access_log);
    flag(proxy, "--default-address", options->default_address);
    flag(proxy, "--drain-timeout", options->drain_ms);
    flag(proxy, "--log-format", options->log_format);
    flag(proxy, "--log-level", options->log_level);
}

bool planes_start(struct planes *planes, struct loop *loop, const struct planes_options *options)
{
    *planes = (struct planes){0};
    arena_init(&planes->arena, 0);
    control_args(&planes->items[0], options, &planes->arena);
    proxy_args(&planes->items[1], options, &planes->arena);
    return processes_start(&planes->group, loop, planes->items, 2, STOP_MS);
}

void planes_fini(struct planes *planes)
{
    processes_fini(&planes->group);
    arena_fini(&planes->arena);
}
