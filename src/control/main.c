/* nantian-control: a directory of YAML or a cluster in, snapshots for data planes out. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/regex.h"
#include "control/admin/admin.h"
#include "control/cycle.h"
#include "control/doors.h"
#include "control/options.h"
#include "control/session_key.h"
#include "event/signals.h"
#include "net/tls.h"
#include "net/tls_check.h"

struct control {
    struct loop *loop;
    struct signals signals;
    struct options options;
    struct translate_options translate;
    struct session_key session_key;
    struct cycle cycle;
    struct doors doors;
    struct admin_source source;
    struct admin *admin;
    struct tls_context *tls; /* of xDS over TCP */
    int lock;                /* of the state directory; -1: none */
};

static void on_signal(void *owner, int number)
{
    struct control *control = owner;
    if (number == SIGTERM || number == SIGINT)
        cycle_stop(&control->cycle);
    else if (number == SIGHUP && control->cycle.files != NULL)
        files_reload(control->cycle.files);
}

static const struct outcome *source_outcome(void *owner)
{
    const struct control *control = owner;
    return control->cycle.outcome;
}

static void source_faults(void *owner, struct faults *faults)
{
    const struct control *control = owner;
    const char *why = doors_why(&control->doors);
    if (control->cycle.files != NULL)
        files_faults(control->cycle.files, faults);
    if (why != NULL)
        faults_add(faults,
                   &(struct fault){.code = "ListenFailed",
                                   .where = TEXT("nantian-control"),
                                   .field = TEXT("--xds"),
                                   .hint = TEXT("end what listens there; it is tried again")},
                   "data planes cannot come: %s", why);
}

static const char *source_obstacle(void *owner)
{
    const struct control *control = owner;
    return doors_why(&control->doors);
}

static void source_files(void *owner, struct json *json)
{
    const struct control *control = owner;
    struct arena arena;
    arena_init(&arena, 0);
    size_t count = 0;
    struct files_file *files =
        control->cycle.files == NULL ? NULL : files_list(control->cycle.files, &arena, &count);
    json_array_begin(json, NULL);
    for (size_t i = 0; i < count; i++) {
        json_object_begin(json, NULL);
        json_text(json, "name", files[i].name);
        json_int(json, "objects", (int64_t)files[i].object_count);
        json_int(json, "errors", (int64_t)files[i].error_count);
        json_bool(json, "broken", files[i].broken);
        json_object_end(json);
    }
    json_array_end(json);
    arena_fini(&arena);
}

static void source_kinds(void *owner, struct json *json)
{
    const struct control *control = owner;
    if (control->cycle.kube != NULL)
        kube_json(control->cycle.kube, json);
    else
        json_null(json, NULL);
}

static void source_replicas(void *owner, struct json *json)
{
    const struct control *control = owner;
    if (control->cycle.kube != NULL)
        kube_replicas_json(control->cycle.kube, json);
    else
        json_null(json, NULL);
}

static void source_work(void *owner, uint64_t *ret_runs, uint64_t *ret_translated,
                        uint64_t *ret_last_us)
{
    const struct control *control = owner;
    *ret_runs = control->cycle.runs;
    *ret_translated = control->cycle.translated;
    *ret_last_us = control->cycle.last_us;
}

static void source_admit(void *owner, uint64_t ticket, const struct message *head)
{
    const struct control *control = owner;
    kube_admit(control->cycle.kube, ticket, head);
}

static void on_viewer(void *owner, uint64_t ticket, int status, const char *why)
{
    const struct control *control = owner;
    admin_admit(control->admin, ticket, status, why);
}

static bool listen_all(struct control *control)
{
    const struct options *options = &control->options;
    char text[ADDRESS_TEXT_MAX];
    bool is_certified = control->tls != NULL || !options_are_for_cluster(options);
    if (!doors_open_local(&control->doors) ||
        (is_certified && !doors_open(&control->doors, control->tls)))
        return false;
    for (size_t i = 0; i < options->admin_count; i++) {
        if (admin_listen(control->admin, &options->admin[i]))
            continue;
        address_format(&options->admin[i], text);
        log_error("cannot listen for the API", log_str("address", text),
                  log_str("err", strerrordesc_np(errno)));
        return false;
    }
    return true;
}

static bool make_tls(struct control *control, struct text chain, struct text key)
{
    const struct options *options = &control->options;
    static const char *const alpn[] = {"h2", NULL};
    const char *why = NULL;
    struct tls_certificate *certificate = tls_certificate_new(chain, key, &why);
    if (certificate != NULL)
        control->tls = tls_server_new(
            &(struct tls_server_options){
                .certificate = certificate,
                .alpn = alpn,
                .client_ca_pem = options->client_ca,
                .client_certificate_required = options->client_ca.len > 0,
            },
            &why);
    tls_certificate_unref(certificate);
    if (control->tls == NULL)
        log_error("the xDS certificate cannot be used", log_str("why", why));
    return control->tls != NULL;
}

/* The first certificate opens the doors; each after it is shown to who comes from then on. */
static void on_credentials(void *owner, struct text chain, struct text key, struct text secret)
{
    struct control *control = owner;
    struct tls_context *before = control->tls;
    if (control->options.certificate.len > 0)
        return; /* we were given one */
    if (before == NULL && control->options.session_key.len == 0)
        session_key_share(&control->session_key, secret, &control->options.arena);
    control->tls = NULL;
    if (!make_tls(control, chain, key)) {
        control->tls = before;
        return;
    }
    doors_certify(&control->doors, control->tls);
    tls_context_unref(before);
}

static uint16_t xds_port(const struct options *options)
{
    for (size_t i = 0; i < options->xds_count; i++)
        if (options->xds[i].any.sa_family != AF_UNIX)
            return address_port(&options->xds[i]);
    return 0;
}

/* Two would take each other's socket, version numbers and copies of files. */
static bool take_state_dir(struct control *control)
{
    const char *path = arena_string(&control->options.arena, control->options.state_dir);
    (void)mkdir(path, 0700);
    control->lock = file_lock(path);
    if (control->lock >= 0)
        return true;
    log_error("the state directory cannot be used", log_str("state", path),
              log_str("why", errno == EWOULDBLOCK ? "another control plane uses it"
                                                  : strerrordesc_np(errno)),
              log_str("hint", "stop that one, or give this one another with --state-dir"));
    return false;
}

static bool start(struct control *control)
{
    struct options *options = &control->options;
    if (!take_state_dir(control))
        return false;
    const char *why = session_key_open(&control->session_key, options->session_key,
                                       options->state_dir, &options->arena);
    if (why != NULL) {
        log_error("the key of sessions cannot be used", log_str("why", why));
        return false;
    }
    control->translate = (struct translate_options){
        .controller = options->controller,
        .standalone = !options_are_for_cluster(options),
        .addresses = &options->default_address,
        .address_count = options->default_address.len > 0,
        .check_certificate = tls_check_certificate,
        .check_ca = tls_check_ca,
        .check_regex = regex_check,
        .session_key = session_key_derive,
        .session_owner = &control->session_key,
    };
    const struct cycle_options cycle = {
        .loop = control->loop,
        .directory = options->directory,
        .state_dir = options->state_dir,
        .kubeconfig = options->kubeconfig,
        .context = options->context,
        .proxy_image = options->proxy_image,
        .relist_ms = options->relist_ms,
        .lease_ms = options->lease_ms,
        .xds_port = xds_port(options),
        .certificate_s = options->certificate_s,
        .on_credentials = on_credentials,
        .owner = control,
        .translate = &control->translate,
    };
    if (!cycle_init(&control->cycle, &cycle))
        return false;
    doors_init(&control->doors, control->loop, control->cycle.publish, options);
    control->source = (struct admin_source){
        .owner = control,
        .version = NANTIAN_VERSION,
        .directory = options->directory,
        .publish = control->cycle.publish,
        .store = control->cycle.store,
        .outcome = source_outcome,
        .obstacle = source_obstacle,
        .faults = source_faults,
        .files = source_files,
        .kinds = source_kinds,
        .replicas = source_replicas,
        .work = source_work,
    };
    if (control->cycle.kube != NULL) {
        control->source.admit = source_admit;
        kube_guard(control->cycle.kube, on_viewer, control);
    }
    control->admin = admin_new(control->loop, &control->source);
    if (options->certificate.len > 0 && !make_tls(control, options->certificate, options->key))
        return false;
    if (!cycle_start(&control->cycle)) {
        log_error("cannot read the directory", log_text("directory", options->directory),
                  log_str("err", strerrordesc_np(errno)));
        return false;
    }
    return listen_all(control);
}

int main(int argc, char **argv)
{
    struct control control = {.lock = -1};
    file_open_standard();
    int code = control_options_read(&control.options, argc, argv);
    if (code >= 0)
        return code;
    log_setup("control", control.options.log_as_text, control.options.log_level);
    control.loop = loop_new(NULL);
    if (!signals_init(&control.signals, control.loop, &control, on_signal))
        return 1;
    bool started = start(&control);
    if (started) {
        log_info("control plane runs", log_text("directory", control.options.directory),
                 log_int("objects", (int64_t)(control.cycle.outcome == NULL
                                                  ? 0
                                                  : outcome_piece_count(control.cycle.outcome))));
        loop_run(control.loop);
    }
    admin_free(control.admin);
    doors_fini(&control.doors);
    cycle_fini(&control.cycle);
    tls_context_unref(control.tls);
    signals_fini(&control.signals);
    loop_free(control.loop);
    control_options_fini(&control.options);
    if (control.lock >= 0)
        close(control.lock);
    return started ? 0 : 1;
}
