/* One GET over the Unix socket, TCP or the API server, with an error that says what to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/fetch.h"
#include "cli/place.h"

#define ASK_MS 10000

bool ask_flag_place(struct cli_args *args, struct ask_options *options)
{
    if (cli_args_is(args, "admin", 'a'))
        options->admin = cli_args_value(args);
    else if (cli_args_is(args, "state-dir", 's'))
        options->state_dir = cli_args_value(args);
    else if (cli_args_is(args, "kubeconfig", '\0'))
        options->cluster.kubeconfig = cli_args_value(args);
    else if (cli_args_is(args, "context", '\0'))
        options->cluster.context = cli_args_value(args);
    else if (cli_args_is(args, "control-namespace", '\0'))
        options->cluster.namespace = cli_args_value(args);
    else
        return false;
    return true;
}

bool ask_flag(struct cli_args *args, struct ask_options *options)
{
    if (!cli_args_is(args, "output", 'o'))
        return ask_flag_place(args, options);
    options->as_json = cli_args_choice(args, (const char *const[]){"table", "json", NULL}) == 1;
    return true;
}

/* Asked for; or nothing else is, and nothing runs here. */
static bool is_for_cluster(const struct ask_options *options, const char *socket)
{
    const struct cluster_options *cluster = &options->cluster;
    if (cluster->kubeconfig != NULL || cluster->context != NULL || cluster->namespace != NULL)
        return true;
    if (options->admin != NULL || options->state_dir != NULL)
        return false;
    return cli_is_plugin() || (access(socket, F_OK) != 0 && cluster_is_there());
}

int ask_open(struct ask *ask, const struct cli_verb *verb, const struct ask_options *options)
{
    *ask = (struct ask){.verb = verb, .loop = loop_new(NULL)};
    arena_init(&ask->arena, 0);
    struct text socket =
        place_admin_socket(place_state_dir(options->state_dir, &ask->arena), &ask->arena);
    if (is_for_cluster(options, socket.data))
        return cluster_open(verb, ask->loop, &options->cluster, &ask->cluster);
    ask->where = options->admin != NULL ? text_of(options->admin)
                                        : arena_printf(&ask->arena, "unix:%s", socket.data);
    if (address_parse_endpoint(ask->where, &ask->to))
        return CLI_OK;
    cli_complain(verb, "`%s` is neither unix:PATH nor IP:PORT", ask->where.data);
    return CLI_USAGE;
}

static int get_local(struct ask *ask, const char *path, struct text *ret_body)
{
    struct fetch_answer answer =
        fetch_get(ask->loop, &ask->to, TEXT("localhost"), text_of(path), ASK_MS, &ask->arena);
    *ret_body = answer.body;
    if (answer.status == 200)
        return CLI_OK;
    if (answer.status != 0) {
        cli_complain(ask->verb, "%s answered %d to GET %s", ask->where.data, answer.status, path);
        return CLI_INTERNAL;
    }
    cli_complain(ask->verb,
                 "no gateway answers at %s (%s); is `nantian up DIR` running? For a cluster give "
                 "--kubeconfig FILE or --context NAME",
                 ask->where.data, answer.why != NULL ? answer.why : "closed");
    return CLI_UNREACHABLE;
}

int ask_get(struct ask *ask, const char *path, struct text *ret_body, struct value **ret_value)
{
    int code = ask->cluster != NULL ? cluster_get(ask->cluster, path, &ask->arena, ret_body)
                                    : get_local(ask, path, ret_body);
    if (code != CLI_OK)
        return code;
    struct faults faults;
    faults_init(&faults, &ask->arena);
    bool parsed = value_parse_json(*ret_body, TEXT_NONE, &ask->arena, ret_value, &faults);
    faults_fini(&faults);
    if (parsed)
        return CLI_OK;
    cli_complain(ask->verb, "the answer to GET %s is no JSON; is it a control plane's?", path);
    return CLI_INTERNAL;
}

void ask_close(struct ask *ask)
{
    cluster_close(ask->cluster);
    loop_free(ask->loop);
    arena_fini(&ask->arena);
}

static void append(struct value *list, const struct value *more, struct arena *arena)
{
    size_t count = list->list.count + more->list.count;
    struct value **items = arena_array(arena, struct value *, count + 1);
    memcpy(items, list->list.items, list->list.count * sizeof(*items));
    memcpy(items + list->list.count, more->list.items, more->list.count * sizeof(*items));
    list->list.items = items;
    list->list.count = count;
}

/* Each replica lists its own data planes: those of the others are asked of them, and only who does
 * not answer is left in `replicas`, whose numbers are some seconds old. True: that is in there now.
 */
static bool add_nodes(struct ask *ask, struct value *answer)
{
    struct value *nodes = value_get(answer, "nodes"), *replicas = value_get(answer, "replicas");
    size_t count = ask->cluster != NULL ? cluster_count(ask->cluster) : 0;
    bool is_whole = true;
    if (nodes == NULL || nodes->kind != VALUE_LIST || count < 2)
        return false;
    for (size_t i = 1; i < count; i++) {
        struct text body = TEXT_NONE;
        struct value *other = NULL;
        struct faults faults;
        faults_init(&faults, &ask->arena);
        const struct value *more = NULL;
        if (cluster_get_at(ask->cluster, i, "/v1/nodes", &ask->arena, &body) &&
            value_parse_json(body, TEXT_NONE, &ask->arena, &other, &faults))
            more = value_get(other, "nodes");
        faults_fini(&faults);
        if (more != NULL && more->kind == VALUE_LIST)
            append(nodes, more, &ask->arena);
        else
            is_whole = false;
    }
    if (is_whole && replicas != NULL && replicas->kind == VALUE_LIST)
        replicas->list.count = 0;
    return true;
}

static void print_json(struct text body, const struct value *answer, bool is_changed)
{
    struct builder out CLEANUP(builder_fini) = {0};
    struct json json;
    if (is_changed) {
        json_init(&json, &out, 1);
        json_value(&json, NULL, answer);
        builder_add_char(&out, '\n');
        body = builder_text(&out);
    }
    fwrite(body.data, 1, body.len, stdout);
}

int ask_run(const struct cli_verb *verb, int argc, char **argv, const struct ask_view *view)
{
    struct ask_options options = {0};
    struct text namespace = TEXT_NONE;
    struct cli_args args;
    cli_args_init(&args, verb, argc, argv);
    while (cli_args_next(&args)) {
        if (cli_args_is(&args, "help", 'h')) {
            cli_print_usage(verb);
            return CLI_OK;
        }
        if (view->narrow != NULL && cli_args_is(&args, "namespace", 'n'))
        namespace = text_of(cli_args_value(&args));
        else if (!ask_flag(&args, &options)) cli_args_unknown(&args);
    }
    if (args.failed)
        return CLI_USAGE;
    struct ask ask;
    struct text body = TEXT_NONE;
    struct value *answer = NULL;
    int code = ask_open(&ask, verb, &options);
    if (code == CLI_OK)
        code = ask_get(&ask, view->path, &body, &answer);
    bool is_changed = code == CLI_OK && add_nodes(&ask, answer);
    if (code == CLI_OK && namespace.len > 0)
        view->narrow(answer, namespace);
    if (code == CLI_OK && options.as_json)
        print_json(body, answer, is_changed || namespace.len > 0);
    else if (code == CLI_OK)
        code = view->show(answer, &ask.arena);
    ask_close(&ask);
    return code;
}
