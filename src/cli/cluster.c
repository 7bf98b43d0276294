/* Ready control planes are found by their label and asked in turn; the words of the API server are
 * shown as they are, with what to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cluster.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/value.h"
#include "control/kube/client.h"
#include "control/kube/viewers.h"

#define NAMESPACE  "nantian-system"
#define LABEL      "app.kubernetes.io%2Fname%3Dnantian-control"
#define ADMIN_PORT 19001
#define ANSWER_MS  10000

struct control {
    struct text name;
    uint16_t port;
};

struct cluster {
    const struct cli_verb *verb;
    struct loop *loop;
    struct arena arena;
    struct kube_config config;
    struct client *client;
    struct text namespace;
    struct text viewer; /* a token for control planes; empty: `no_viewer` says why */
    struct text no_viewer;
    struct control *controls; /* ready ones; the first answered last time */
    size_t count;
    bool is_known; /* the API server has answered: no plugin is waited for any more */
};

struct answer {
    int status;
    struct text body, why;
    struct arena *arena; /* borrows; has the two */
    bool done;
};

static void on_done(void *owner, const struct client_answer *from)
{
    struct answer *answer = owner;
    answer->status = from->status;
    answer->body = arena_text(answer->arena, from->body);
    answer->why = arena_text(answer->arena, text_of(from->why));
    answer->done = true;
}

static void await(struct cluster *cluster, const struct client_request *asked,
                  struct answer *answer)
{
    static const struct client_events EVENTS = {.on_done = on_done};
    struct client_request request = *asked;
    request.timeout_ms =
        ANSWER_MS +
        (cluster->is_known || cluster->config.plugin == NULL ? 0 : LIMIT_PLUGIN_LOGIN_MS);
    *answer = (struct answer){.arena = answer->arena};
    (void)loop_tick(cluster->loop);
    (void)client_start(cluster->client, &request, &EVENTS, answer);
    while (!answer->done && loop_turn(cluster->loop, -1))
        ;
}

/* What a plugin or a file said may have ended meanwhile: once more, as somebody new. */
static void ask(struct cluster *cluster, const struct client_request *request,
                struct answer *answer)
{
    bool is_renewable = cluster->config.plugin != NULL || cluster->config.token_file != NULL;
    await(cluster, request, answer);
    if (answer->status == 401 && is_renewable)
        await(cluster, request, answer);
    cluster->is_known |= answer->status != 0;
}

/* The message of a Status (meta/v1), or of a control plane's error; else the body as it is. */
static struct text message_of(const struct answer *answer, bool *ret_is_control)
{
    struct faults faults;
    struct value *document = NULL;
    struct text message = TEXT_NONE;
    *ret_is_control = false;
    faults_init(&faults, answer->arena);
    if (value_parse_json(answer->body, TEXT_NONE, answer->arena, &document, &faults)) {
        message = value_string(value_get(document, "message"));
        *ret_is_control = message.len == 0 && value_get(document, "error") != NULL;
        if (*ret_is_control)
            message = value_string(value_get(document, "error"));
    }
    faults_fini(&faults);
    return message.len > 0 ? message : text_trim(text_slice(answer->body, 0, 300));
}

/* The API server says no, or nothing. */
static int complain(const struct cluster *cluster, const struct answer *answer)
{
    struct text source = cluster->config.source, server = cluster->config.authority;
    bool is_control = false;
    struct text message = message_of(answer, &is_control);
    if (is_control && answer->status == 401 && cluster->viewer.len == 0)
        cli_complain(cluster->verb,
                     "the control plane asks for a token, and the API server gives none: " TEXT_FMT
                     "; it takes the Role nantian-viewer in the namespace " TEXT_FMT,
                     TEXT_ARG(cluster->no_viewer), TEXT_ARG(cluster->namespace));
    else if (is_control)
        cli_complain(cluster->verb, "the control plane answers %d: " TEXT_FMT, answer->status,
                     TEXT_ARG(message));
    else if (answer->status == 0)
        cli_complain(cluster->verb,
                     "the API server " TEXT_FMT " does not answer: " TEXT_FMT " (from " TEXT_FMT
                     ")",
                     TEXT_ARG(server), TEXT_ARG(answer->why), TEXT_ARG(source));
    else if (answer->status == 401)
        cli_complain(cluster->verb,
                     "the API server " TEXT_FMT " does not take who we are: log in anew, or mend "
                     "the user in " TEXT_FMT,
                     TEXT_ARG(server), TEXT_ARG(source));
    else if (answer->status == 403)
        cli_complain(cluster->verb,
                     TEXT_FMT "; it takes the Role nantian-viewer in the namespace " TEXT_FMT,
                     TEXT_ARG(message), TEXT_ARG(cluster->namespace));
    else
        cli_complain(cluster->verb, "the API server " TEXT_FMT " answers %d: " TEXT_FMT,
                     TEXT_ARG(server), answer->status, TEXT_ARG(message));
    return CLI_UNREACHABLE;
}

static bool is_ready(const struct value *pod)
{
    const struct value *conditions = value_get(value_get(pod, "status"), "conditions");
    if (value_get(value_get(pod, "metadata"), "deletionTimestamp") != NULL || conditions == NULL ||
        conditions->kind != VALUE_LIST)
        return false;
    for (size_t i = 0; i < conditions->list.count; i++)
        if (text_is(value_string(value_get(conditions->list.items[i], "type")), "Ready"))
            return text_is(value_string(value_get(conditions->list.items[i], "status")), "True");
    return false;
}

/* The container's port that is called "admin". */
static uint16_t admin_port(const struct value *pod)
{
    const struct value *containers = value_get(value_get(pod, "spec"), "containers");
    for (size_t c = 0;
         containers != NULL && containers->kind == VALUE_LIST && c < containers->list.count; c++) {
        const struct value *ports = value_get(containers->list.items[c], "ports");
        for (size_t i = 0; ports != NULL && ports->kind == VALUE_LIST && i < ports->list.count; i++)
            if (text_is(value_string(value_get(ports->list.items[i], "name")), "admin"))
                return (uint16_t)value_int(value_get(ports->list.items[i], "containerPort"),
                                           ADMIN_PORT);
    }
    return ADMIN_PORT;
}

static int take_pods(struct cluster *cluster, const struct value *list)
{
    const struct value *items = value_get(list, "items");
    size_t count = items != NULL && items->kind == VALUE_LIST ? items->list.count : 0;
    cluster->controls = arena_array(&cluster->arena, struct control, count + 1);
    for (size_t i = 0; i < count; i++)
        if (is_ready(items->list.items[i]))
            cluster->controls[cluster->count++] = (struct control){
                value_string(value_get(value_get(items->list.items[i], "metadata"), "name")),
                admin_port(items->list.items[i])};
    if (cluster->count > 0)
        return CLI_OK;
    if (count > 0)
        cli_complain(cluster->verb,
                     "none of %zu control planes is ready; see `kubectl -n " TEXT_FMT " get pods`",
                     count, TEXT_ARG(cluster->namespace));
    else
        cli_complain(cluster->verb,
                     "no control plane runs in the namespace " TEXT_FMT
                     "; say where with --control-namespace, or see `nantian install`",
                     TEXT_ARG(cluster->namespace));
    return CLI_UNREACHABLE;
}

static int find_controls(struct cluster *cluster)
{
    struct answer answer = {.arena = &cluster->arena};
    struct faults faults;
    struct value *list = NULL;
    const struct client_request request = {
        .method = "GET",
        .path = arena_printf(&cluster->arena,
                             "/api/v1/namespaces/" TEXT_FMT "/pods?labelSelector=%s&limit=500",
                             TEXT_ARG(cluster->namespace), LABEL),
    };
    ask(cluster, &request, &answer);
    if (answer.status != 200)
        return complain(cluster, &answer);
    faults_init(&faults, &cluster->arena);
    bool parsed = value_parse_json_pruned(answer.body, TEXT_NONE, &cluster->arena, &list, &faults);
    faults_fini(&faults);
    if (parsed)
        return take_pods(cluster, list);
    cli_complain(cluster->verb, "the API server's list of pods is no JSON");
    return CLI_INTERNAL;
}

/* A token for control planes. Without one they are asked all the same: those of another version may
 * want none. */
static void fetch_viewer(struct cluster *cluster)
{
    struct answer answer = {.arena = &cluster->arena};
    struct faults faults;
    struct value *document = NULL;
    bool is_control = false;
    const struct client_request request = {
        .method = "POST",
        .content_type = "application/json",
        .path = arena_printf(&cluster->arena,
                             "/api/v1/namespaces/" TEXT_FMT "/serviceaccounts/" VIEWERS_ACCOUNT
                             "/token",
                             TEXT_ARG(cluster->namespace)),
        .body =
            TEXT("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\","
                 "\"spec\":{\"audiences\":[\"" VIEWERS_AUDIENCE "\"],\"expirationSeconds\":600}}"),
    };
    ask(cluster, &request, &answer);
    faults_init(&faults, &cluster->arena);
    if (value_parse_json(answer.body, TEXT_NONE, &cluster->arena, &document, &faults))
        cluster->viewer = value_string(value_get(value_get(document, "status"), "token"));
    faults_fini(&faults);
    cluster->no_viewer = answer.status == 0 ? answer.why : message_of(&answer, &is_control);
}

int cluster_open(const struct cli_verb *verb, struct loop *loop,
                 const struct cluster_options *options, struct cluster **ret_cluster)
{
    struct cluster *cluster = memory_new(struct cluster);
    cluster->verb = verb;
    cluster->loop = loop;
    arena_init(&cluster->arena, 0);
    cluster->namespace = text_of(options->namespace != NULL ? options->namespace : NAMESPACE);
    const char *why =
        kube_config_find(&cluster->config, options->kubeconfig, text_of(options->context));
    cluster->config.has_terminal = isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
    if (why == NULL)
        cluster->client = client_new(loop, &cluster->config, LIMIT_SILENT_MS, &why);
    int code = CLI_USAGE;
    if (cluster->client == NULL)
        cli_complain(verb, "%s", why);
    else
        code = find_controls(cluster);
    if (code == CLI_OK)
        fetch_viewer(cluster);
    if (code == CLI_OK)
        *ret_cluster = cluster;
    else
        cluster_close(cluster);
    return code;
}

/* Another one may do better: the pod is gone, or the API server does not reach it. */
static bool is_passing(const struct answer *answer)
{
    return answer->status == 0 || answer->status == 404 || answer->status >= 500;
}

static void get_control(struct cluster *cluster, size_t at, const char *path, struct answer *answer)
{
    const struct control *control = &cluster->controls[at];
    const struct client_request request = {
        .method = "GET",
        .viewer = cluster->viewer,
        .path = arena_printf(
            answer->arena, "/api/v1/namespaces/" TEXT_FMT "/pods/" TEXT_FMT ":%u/proxy%s",
            TEXT_ARG(cluster->namespace), TEXT_ARG(control->name), control->port, path),
    };
    ask(cluster, &request, answer);
}

size_t cluster_count(const struct cluster *cluster)
{
    return cluster->count;
}

bool cluster_get_at(struct cluster *cluster, size_t at, const char *path, struct arena *arena,
                    struct text *ret_body)
{
    struct answer answer = {.arena = arena};
    get_control(cluster, at, path, &answer);
    *ret_body = answer.body;
    return answer.status == 200;
}

int cluster_get(struct cluster *cluster, const char *path, struct arena *arena,
                struct text *ret_body)
{
    struct answer answer = {.arena = arena};
    size_t at = 0;
    for (; at < cluster->count; at++) {
        get_control(cluster, at, path, &answer);
        if (!is_passing(&answer))
            break;
    }
    if (at < cluster->count) {
        struct control first = cluster->controls[0];
        cluster->controls[0] = cluster->controls[at];
        cluster->controls[at] = first;
    }
    *ret_body = answer.body;
    if (answer.status == 200)
        return CLI_OK;
    if (answer.status == 401 || answer.status == 403 || at < cluster->count)
        return complain(cluster, &answer);
    bool is_control = false;
    cli_complain(cluster->verb,
                 "the API server reaches none of %zu control planes in the namespace " TEXT_FMT
                 ": " TEXT_FMT "; does a NetworkPolicy keep it out?",
                 cluster->count, TEXT_ARG(cluster->namespace),
                 TEXT_ARG(answer.status == 0 ? answer.why : message_of(&answer, &is_control)));
    return CLI_UNREACHABLE;
}

void cluster_close(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    client_free(cluster->client);
    kube_config_fini(&cluster->config);
    arena_fini(&cluster->arena);
    free(cluster);
}

bool cluster_is_there(void)
{
    return kube_config_is_there();
}
