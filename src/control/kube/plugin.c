/* The answer comes when the process has ended, which its descriptor tells, also of one that was
 * killed, so that nothing blocks; what it started may keep the pipes open for ever. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/memory.h"

#define REAP_MS 1000 /* SIGKILL takes less */

struct plugin {
    struct loop *loop;
    const struct kube_config *config; /* borrows */
    plugin_answer on_answer;
    void *owner;
    struct arena arena;
    pid_t pid; /* 0: it did not start */
    struct watch exit, out, err;
    struct builder said, complained;
    bool is_asking; /* a person, who sees stderr and has stdin */
    bool is_too_long, is_late;
    struct timer deadline;
    struct defer failed;
    const char *why; /* it could not be started */
};

/* ---- the end ---- */

static void forget(struct plugin *plugin, struct watch *watch)
{
    if (watch->fd < 0)
        return;
    int fd = watch->fd;
    loop_unwatch(plugin->loop, watch);
    close(fd);
    watch->fd = -1;
}

static void plugin_free(struct plugin *plugin)
{
    forget(plugin, &plugin->exit);
    forget(plugin, &plugin->out);
    forget(plugin, &plugin->err);
    loop_disarm(plugin->loop, &plugin->deadline);
    loop_undefer(plugin->loop, &plugin->failed);
    if (plugin->said.data != NULL)
        explicit_bzero(plugin->said.data, plugin->said.len);
    builder_fini(&plugin->said);
    builder_fini(&plugin->complained);
    arena_fini(&plugin->arena);
    free(plugin);
}

static void tell(struct plugin *plugin, const struct plugin_credential *credential,
                 const char *format, ...) PRINTF_LIKE(3, 4);
static void tell(struct plugin *plugin, const struct plugin_credential *credential,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct text words = arena_vprintf(&plugin->arena, format, args);
    va_end(args);
    const char *why = arena_printf(&plugin->arena, "the credential plugin `%s` %s",
                                   plugin->config->plugin->argv[0], words.data)
                          .data;
    plugin->on_answer(plugin->owner, credential, credential == NULL ? why : NULL);
}

static uint32_t wait_ms(const struct plugin *plugin)
{
    return plugin->is_asking ? LIMIT_PLUGIN_LOGIN_MS : LIMIT_PLUGIN_MS;
}

/* With what it started, but in a terminal, where a group of its own could not read. */
static void stop_process(struct plugin *plugin)
{
    if (plugin->pid > 0)
        (void)kill(plugin->is_asking ? plugin->pid : -plugin->pid, SIGKILL);
}

/* ---- what it printed ---- */

/* NULL, or what is wrong. */
static const char *read_time(struct text time, uint64_t now_ms, uint64_t *ret_until_ms)
{
    *ret_until_ms = 0;
    if (time.len == 0)
        return NULL;
    if (!clock_parse(time, ret_until_ms))
        return "printed an expirationTimestamp that is no time";
    return *ret_until_ms <= now_ms ? "printed a credential that has expired" : NULL;
}

static const char *read_credential(struct plugin *plugin, const struct value *document,
                                   struct plugin_credential *ret)
{
    const struct value *status = value_get(document, "status");
    struct text version = value_string(value_get(document, "apiVersion"));
    *ret = (struct plugin_credential){
        .token = value_string(value_get(status, "token")),
        .certificate = value_string(value_get(status, "clientCertificateData")),
        .key = value_string(value_get(status, "clientKeyData")),
    };
    if (!text_is(value_string(value_get(document, "kind")), "ExecCredential"))
        return "printed no ExecCredential";
    if (!text_equal(version, plugin->config->plugin->api_version))
        return "printed another apiVersion than the kubeconfig asks for";
    if ((ret->certificate.len > 0) != (ret->key.len > 0))
        return "printed one of clientCertificateData and clientKeyData; it takes both";
    if (ret->token.len == 0 && ret->certificate.len == 0)
        return "printed neither a token nor a certificate";
    for (size_t i = 0; i < ret->token.len; i++)
        if (ret->token.data[i] <= ' ' || ret->token.data[i] >= 0x7f)
            return "printed a token with a blank or a control character in it";
    return read_time(value_string(value_get(status, "expirationTimestamp")),
                     loop_wall_ns(plugin->loop) / 1000000, &ret->until_ms);
}

static void judge_output(struct plugin *plugin)
{
    struct faults faults;
    struct value *document = NULL;
    struct plugin_credential credential;
    faults_init(&faults, &plugin->arena);
    if (!value_parse_json(builder_text(&plugin->said), TEXT_NONE, &plugin->arena, &document,
                          &faults)) {
        tell(plugin, NULL, "printed what is no JSON");
    } else {
        const char *why = read_credential(plugin, document, &credential);
        tell(plugin, why == NULL ? &credential : NULL, "%s", why == NULL ? "" : why);
    }
    faults_fini(&faults);
}

/* On one line, so that a log stays one. */
static struct text complaint_of(struct plugin *plugin)
{
    struct builder *said = &plugin->complained;
    while (said->len > 0 && (unsigned char)said->data[said->len - 1] <= ' ')
        said->len--;
    for (size_t i = 0; i < said->len; i++)
        if ((unsigned char)said->data[i] < ' ')
            said->data[i] = ' ';
    return said->len > 0 ? builder_text(said) : TEXT("it said nothing");
}

static void judge(struct plugin *plugin, const siginfo_t *end)
{
    if (plugin->is_late)
        tell(plugin, NULL, "gave no answer in %u s: " TEXT_FMT, wait_ms(plugin) / 1000,
             TEXT_ARG(complaint_of(plugin)));
    else if (plugin->is_too_long)
        tell(plugin, NULL, "printed more than %u bytes", LIMIT_PLUGIN_OUTPUT);
    else if (end->si_code == CLD_EXITED && end->si_status == 0)
        judge_output(plugin);
    else
        tell(plugin, NULL, "ended with %s %d: " TEXT_FMT,
             end->si_code == CLD_EXITED ? "exit code" : "signal", end->si_status,
             TEXT_ARG(complaint_of(plugin)));
}

/* ---- reading ---- */

/* What is there; the rest of too much is thrown away. */
static void drain(struct plugin *plugin, struct watch *watch, struct builder *into, size_t max)
{
    char bytes[4096];
    while (watch->fd >= 0) {
        ssize_t got = read(watch->fd, bytes, sizeof(bytes));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            forget(plugin, watch);
            return;
        }
        size_t room = max - MIN(max, into->len);
        plugin->is_too_long |= (size_t)got > room && into == &plugin->said;
        builder_add(into, text_from(bytes, MIN((size_t)got, room)));
        if (plugin->is_too_long) {
            stop_process(plugin);
            return;
        }
    }
}

static void on_out(void *owner, uint32_t events)
{
    (void)events;
    struct plugin *plugin = owner;
    drain(plugin, &plugin->out, &plugin->said, LIMIT_PLUGIN_OUTPUT);
}

static void on_err(void *owner, uint32_t events)
{
    (void)events;
    struct plugin *plugin = owner;
    drain(plugin, &plugin->err, &plugin->complained, LIMIT_PLUGIN_COMPLAINT);
}

static void on_exit_ready(void *owner, uint32_t events)
{
    (void)events;
    struct plugin *plugin = owner;
    siginfo_t end = {0};
    if (waitid(P_PID, (id_t)plugin->pid, &end, WEXITED | WNOHANG) == 0 && end.si_pid == 0)
        return;
    plugin->pid = 0;
    on_out(plugin, 0);
    on_err(plugin, 0);
    judge(plugin, &end);
    plugin_free(plugin);
}

static void on_deadline(void *owner)
{
    struct plugin *plugin = owner;
    plugin->is_late = true;
    stop_process(plugin);
}

/* ---- the start ---- */

static const char *tell_info(struct plugin *plugin)
{
    const struct kube_plugin *what = plugin->config->plugin;
    struct builder out CLEANUP(builder_fini) = {0};
    struct json json;
    builder_add_string(&out, "KUBERNETES_EXEC_INFO=");
    json_init(&json, &out, 0);
    json_object_begin(&json, NULL);
    json_text(&json, "apiVersion", what->api_version);
    json_string(&json, "kind", "ExecCredential");
    json_object_begin(&json, "spec");
    json_bool(&json, "interactive", plugin->is_asking);
    if (what->cluster.len > 0)
        json_raw(&json, "cluster", what->cluster);
    json_object_end(&json);
    json_object_end(&json);
    return arena_string(&plugin->arena, builder_text(&out));
}

static bool names_same(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* Ours first, then what we were given, as far as the plugin is not given another value. */
static const char **make_environment(struct plugin *plugin)
{
    const char *const *own = plugin->config->plugin->env;
    size_t own_count = 0, count = 0, at = 0;
    while (own[own_count] != NULL)
        own_count++;
    while (environ[count] != NULL)
        count++;
    const char **all = arena_array(&plugin->arena, const char *, own_count + count + 2);
    all[at++] = tell_info(plugin);
    for (size_t i = 0; i < own_count; i++)
        all[at++] = own[i];
    size_t ours = at;
    for (size_t i = 0; i < count; i++) {
        bool is_ours = false;
        for (size_t k = 0; k < ours; k++)
            is_ours |= names_same(all[k], environ[i]);
        if (!is_ours)
            all[at++] = environ[i];
    }
    return all;
}

static bool is_program(const char *file)
{
    struct stat about;
    return stat(file, &about) == 0 && S_ISREG(about.st_mode) && access(file, X_OK) == 0;
}

/* As a shell: a name without '/' is looked for on PATH. NULL: it is not there. */
static const char *find_program(struct plugin *plugin)
{
    const char *name = plugin->config->plugin->argv[0], *path = getenv("PATH");
    struct text rest = text_of(path == NULL ? "/usr/local/bin:/usr/bin:/bin" : path), folder;
    if (strchr(name, '/') != NULL)
        return is_program(name) ? name : NULL;
    while (text_split(&rest, ':', &folder)) {
        const char *file = arena_printf(&plugin->arena, TEXT_FMT "/%s",
                                        TEXT_ARG(folder.len > 0 ? folder : TEXT(".")), name)
                               .data;
        if (is_program(file))
            return file;
    }
    return NULL;
}

/* In the child: only calls that are safe between fork and exec. -1: leaves it as it is; with a
 * stdin of our own it gets a group of its own. */
static void become(const char *file, const char *const *argv, const char *const *envp,
                   const int fds[3], pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    struct sigaction usual = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGPIPE, &usual, NULL);
    if (fds[0] >= 0)
        (void)setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0 && dup2(fds[i], i) < 0)
            _exit(127);
    if (getppid() == parent)
        execve(file, (char *const *)(const void *)argv, (char *const *)(const void *)envp);
    _exit(127);
}

static bool listen_to(struct plugin *plugin, struct watch *watch, int fd)
{
    watch->fd = fd;
    return fd >= 0 && loop_watch_level(plugin->loop, watch);
}

/* NULL, or what failed. */
static const char *run(struct plugin *plugin, const char *file)
{
    const char *const *argv = plugin->config->plugin->argv;
    const char **envp = make_environment(plugin);
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t parent = getpid();
    if (none < 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 ||
        fcntl(out[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(err[0], F_SETFL, O_NONBLOCK) != 0)
        plugin->pid = -1;
    else
        plugin->pid = fork();
    if (plugin->pid == 0)
        become(file, argv, envp,
               plugin->is_asking ? (const int[]){-1, out[1], -1}
                                 : (const int[]){none, out[1], err[1]},
               parent);
    int why = errno;
    if (plugin->pid > 0 && !plugin->is_asking)
        (void)setpgid(plugin->pid, plugin->pid); /* whoever is first */
    const int done[] = {none, out[1], err[1]};
    for (size_t i = 0; i < ARRAY_LEN(done); i++)
        if (done[i] >= 0)
            close(done[i]);
    bool heard = listen_to(plugin, &plugin->out, out[0]);
    heard &= listen_to(plugin, &plugin->err, err[0]);
    if (plugin->pid <= 0) {
        plugin->pid = 0;
        return strerrordesc_np(why);
    }
    heard &= listen_to(plugin, &plugin->exit, pidfd_open(plugin->pid, 0));
    if (heard)
        return NULL;
    stop_process(plugin);
    (void)waitpid(plugin->pid, NULL, 0);
    plugin->pid = 0;
    return "the kernel refused to watch it";
}

static void on_failed(void *owner)
{
    struct plugin *plugin = owner;
    tell(plugin, NULL, "%s", plugin->why);
    plugin_free(plugin);
}

struct plugin *plugin_start(struct loop *loop, const struct kube_config *config,
                            plugin_answer on_answer, void *owner)
{
    const struct kube_plugin *what = config->plugin;
    struct plugin *plugin = memory_new(struct plugin);
    plugin->loop = loop;
    plugin->config = config;
    plugin->on_answer = on_answer;
    plugin->owner = owner;
    plugin->is_asking = config->has_terminal && what->mode != KUBE_PLUGIN_ALONE;
    arena_init(&plugin->arena, 0);
    plugin->exit = (struct watch){.fd = -1, .owner = plugin, .on_ready = on_exit_ready};
    plugin->out = (struct watch){.fd = -1, .owner = plugin, .on_ready = on_out};
    plugin->err = (struct watch){.fd = -1, .owner = plugin, .on_ready = on_err};
    timer_init(&plugin->deadline, plugin, on_deadline);
    defer_init(&plugin->failed, plugin, on_failed);
    const char *file = find_program(plugin);
    if (what->mode == KUBE_PLUGIN_TERMINAL && !config->has_terminal)
        plugin->why = "wants a terminal (interactiveMode: Always), and there is none";
    else if (file == NULL)
        plugin->why = arena_printf(&plugin->arena, "is not there%s" TEXT_FMT,
                                   what->hint.len > 0 ? ": " : "", TEXT_ARG(what->hint))
                          .data;
    else
        plugin->why = run(plugin, file);
    if (plugin->why != NULL)
        loop_defer(loop, &plugin->failed);
    else
        loop_arm(loop, &plugin->deadline, wait_ms(plugin));
    return plugin;
}

/* Nobody comes back to it later. What was killed ends at once, but where the kernel holds it (a
 * file system that hangs): that is not waited for. */
static void reap(struct plugin *plugin)
{
    struct pollfd ended = {.fd = plugin->exit.fd, .events = POLLIN};
    if (plugin->pid <= 0)
        return;
    (void)poll(&ended, 1, REAP_MS);
    (void)waitpid(plugin->pid, NULL, WNOHANG);
}

void plugin_cancel(struct plugin *plugin)
{
    if (plugin == NULL)
        return;
    stop_process(plugin);
    reap(plugin);
    plugin_free(plugin);
}
