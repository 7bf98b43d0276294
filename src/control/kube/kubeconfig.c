/* What a kubeconfig may say that we cannot do is refused in words, never passed over: who would be
 * somebody else then, or elsewhere, must know. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/kubeconfig.h"

#include "base/base64.h"
#include "base/json.h"
#include "control/files/directory.h"

struct file {
    const char *path;
    struct text directory; /* paths in it start there */
    const struct value *document;
};

struct reading {
    struct kube_config *config;
    struct file *files;
    size_t count;
    const char *why; /* NULL so far */
};

/* An entry of one of the files. */
struct entry {
    const struct value *value; /* NULL: there is none */
    const struct file *file;
    struct text name;
};

static struct text source_of(const struct reading *reading, const struct file *file)
{
    return file != NULL ? text_of(file->path) : reading->config->source;
}

/* The first complaint counts. `file` NULL: all of them together. */
static void complain(struct reading *reading, const struct file *file, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void complain(struct reading *reading, const struct file *file, const char *format, ...)
{
    struct arena *arena = &reading->config->arena;
    if (reading->why != NULL)
        return;
    va_list args;
    va_start(args, format);
    struct text words = arena_vprintf(arena, format, args);
    va_end(args);
    reading->why = arena_printf(arena, TEXT_FMT ": " TEXT_FMT, TEXT_ARG(source_of(reading, file)),
                                TEXT_ARG(words))
                       .data;
}

static size_t list_count(const struct value *list)
{
    return list != NULL && list->kind == VALUE_LIST ? list->list.count : 0;
}

/* What is null, or empty, says as much as what is not there. */
static bool says_nothing(const struct value *value)
{
    return value == NULL || value->kind == VALUE_NULL ||
           (value->kind == VALUE_STRING && value->string.len == 0) ||
           (value->kind == VALUE_LIST && value->list.count == 0);
}

static struct entry find_named(const struct reading *reading, const char *list, struct text name,
                               const char *member)
{
    for (size_t f = 0; f < reading->count; f++) {
        const struct value *items = value_get(reading->files[f].document, list);
        for (size_t i = 0; i < list_count(items); i++)
            if (text_equal(value_string(value_get(items->list.items[i], "name")), name))
                return (struct entry){value_get(items->list.items[i], member), &reading->files[f],
                                      name};
    }
    return (struct entry){.name = name};
}

/* "a, b, c": what there is instead. */
static struct text names_of(const struct reading *reading, const char *list)
{
    struct arena *arena = &reading->config->arena;
    struct text all = TEXT_NONE;
    for (size_t f = 0; f < reading->count; f++) {
        const struct value *items = value_get(reading->files[f].document, list);
        for (size_t i = 0; i < list_count(items) && all.len < 200; i++)
            all =
                arena_printf(arena, TEXT_FMT "%s" TEXT_FMT, TEXT_ARG(all), all.len > 0 ? ", " : "",
                             TEXT_ARG(value_string(value_get(items->list.items[i], "name"))));
    }
    return all.len > 0 ? all : TEXT("none");
}

static const char *path_of(struct reading *reading, const struct file *file, struct text path)
{
    struct arena *arena = &reading->config->arena;
    if (path.data[0] == '/')
        return arena_string(arena, path);
    return arena_printf(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(file->directory), TEXT_ARG(path))
        .data;
}

/* "<name>-data" in base64, or the file that "<name>" names; empty if neither is there. */
static struct text read_blob(struct reading *reading, const struct entry *from, const char *name)
{
    struct arena *arena = &reading->config->arena;
    struct text out = TEXT_NONE;
    const char *data_name = arena_printf(arena, "%s-data", name).data;
    struct text data = value_string(value_get(from->value, data_name));
    struct text path = value_string(value_get(from->value, name));
    if (data.len > 0) {
        if (!base64_decode(data, arena, &out))
            complain(reading, from->file, "%s of \"" TEXT_FMT "\" is not base64", data_name,
                     TEXT_ARG(from->name));
    } else if (path.len > 0) {
        const char *file = path_of(reading, from->file, path);
        const char *why = directory_read(file, arena, &out);
        if (why != NULL)
            complain(reading, from->file, "%s of \"" TEXT_FMT "\": %s: %s", name,
                     TEXT_ARG(from->name), file, why);
    }
    return out;
}

/* ---- the cluster ---- */

const char *kubeconfig_server(struct kube_config *config, struct text url)
{
    config->is_tls = text_starts_with(url, TEXT("https://"));
    if (!config->is_tls && !text_starts_with(url, TEXT("http://")))
        return "the cluster's server is no http:// or https:// address";
    struct text rest = text_slice(url, config->is_tls ? 8 : 7, url.len);
    size_t slash = text_find(rest, '/', 0);
    config->prefix = text_slice(rest, slash, rest.len);
    while (config->prefix.len > 0 && config->prefix.data[config->prefix.len - 1] == '/')
        config->prefix.len--;
    config->prefix = arena_text(&config->arena, config->prefix);
    config->authority = arena_text(&config->arena, text_slice(rest, 0, slash));
    struct text host = config->authority;
    uint64_t port = config->is_tls ? 443 : 80;
    size_t colon = host.len;
    while (colon > 0 && host.data[colon - 1] != ':' && host.data[colon - 1] != ']')
        colon--;
    if (colon > 0 && host.data[colon - 1] == ':') {
        if (!text_to_u64(text_slice(host, colon, host.len), &port) || port > UINT16_MAX)
            return "the port of the cluster's server is no number";
        host = text_slice(host, 0, colon - 1);
    }
    if (host.len > 1 && host.data[0] == '[')
        host = text_slice(host, 1, host.len - 1);
    if (host.len == 0)
        return "the cluster's server has no host";
    if (config->server_name.len == 0)
        config->server_name = arena_text(&config->arena, host);
    config->port = (uint16_t)port;
    if (!address_parse(host, config->port, &config->address))
        config->host = arena_string(&config->arena, host);
    return NULL;
}

static void read_cluster(struct reading *reading, const struct entry *cluster)
{
    struct kube_config *config = reading->config;
    const struct value *value = cluster->value;
    config->server_name =
        arena_text(&config->arena, value_string(value_get(value, "tls-server-name")));
    config->is_insecure = value_bool(value_get(value, "insecure-skip-tls-verify"), false);
    config->ca = read_blob(reading, cluster, "certificate-authority");
    if (config->is_insecure && config->ca.len > 0)
        complain(reading, cluster->file,
                 "cluster \"" TEXT_FMT "\" has both a certificate-authority and "
                 "insecure-skip-tls-verify; take one of them out",
                 TEXT_ARG(cluster->name));
    if (value_string(value_get(value, "proxy-url")).len > 0)
        complain(reading, cluster->file,
                 "cluster \"" TEXT_FMT "\" has a proxy-url, which is not supported; reach the API "
                 "server directly, or through a tunnel",
                 TEXT_ARG(cluster->name));
    const char *why = reading->why == NULL
                          ? kubeconfig_server(config, value_string(value_get(value, "server")))
                          : NULL;
    if (why != NULL)
        complain(reading, cluster->file, "%s", why);
}

/* ---- exec ---- */

/* What spec.cluster is (client.authentication.k8s.io/v1 Cluster). */
static struct text tell_cluster(struct reading *reading, const struct entry *cluster)
{
    static const char EXTENSION[] = "client.authentication.k8s.io/exec";
    struct kube_config *config = reading->config;
    struct builder out CLEANUP(builder_fini) = {0};
    struct json json;
    json_init(&json, &out, 0);
    json_object_begin(&json, NULL);
    json_text(&json, "server", value_string(value_get(cluster->value, "server")));
    struct text name = value_string(value_get(cluster->value, "tls-server-name"));
    if (name.len > 0)
        json_text(&json, "tls-server-name", name);
    if (config->is_insecure)
        json_bool(&json, "insecure-skip-tls-verify", true);
    if (config->ca.len > 0)
        json_text(&json, "certificate-authority-data", base64_encode(config->ca, &config->arena));
    const struct value *extensions = value_get(cluster->value, "extensions");
    for (size_t i = 0; i < list_count(extensions); i++) {
        const struct value *one = extensions->list.items[i];
        if (text_is(value_string(value_get(one, "name")), EXTENSION) &&
            value_get(one, "extension") != NULL)
            json_value(&json, "config", value_get(one, "extension"));
    }
    json_object_end(&json);
    return arena_text(&config->arena, builder_text(&out));
}

static void read_mode(struct reading *reading, const struct entry *user, const struct value *exec,
                      struct kube_plugin *plugin)
{
    struct text mode = value_string(value_get(exec, "interactiveMode"));
    bool is_v1 = text_is(plugin->api_version, "client.authentication.k8s.io/v1");
    if (text_is(mode, "Never"))
        plugin->mode = KUBE_PLUGIN_ALONE;
    else if (text_is(mode, "IfAvailable") || (mode.len == 0 && !is_v1))
        plugin->mode = KUBE_PLUGIN_EITHER;
    else if (text_is(mode, "Always"))
        plugin->mode = KUBE_PLUGIN_TERMINAL;
    else
        complain(reading, user->file,
                 "exec.interactiveMode of user \"" TEXT_FMT
                 "\" must be Never, IfAvailable or Always",
                 TEXT_ARG(user->name));
    if (!is_v1 && !text_is(plugin->api_version, "client.authentication.k8s.io/v1beta1"))
        complain(reading, user->file,
                 "exec.apiVersion of user \"" TEXT_FMT "\" is \"" TEXT_FMT
                 "\"; client.authentication.k8s.io/v1 and v1beta1 are supported",
                 TEXT_ARG(user->name), TEXT_ARG(plugin->api_version));
}

static void read_plugin(struct reading *reading, const struct entry *user, const struct value *exec,
                        const struct entry *cluster)
{
    struct arena *arena = &reading->config->arena;
    const struct value *args = value_get(exec, "args"), *env = value_get(exec, "env");
    struct kube_plugin *plugin = arena_new(arena, struct kube_plugin);
    struct text command = value_string(value_get(exec, "command"));
    if (command.len == 0) {
        complain(reading, user->file, "exec of user \"" TEXT_FMT "\" has no command",
                 TEXT_ARG(user->name));
        return;
    }
    const char **argv = arena_array(arena, const char *, list_count(args) + 2);
    argv[0] = text_find(command, '/', 0) < command.len ? path_of(reading, user->file, command)
                                                       : arena_string(arena, command);
    for (size_t i = 0; i < list_count(args); i++)
        argv[i + 1] = arena_string(arena, value_string(args->list.items[i]));
    const char **words = arena_array(arena, const char *, list_count(env) + 1);
    for (size_t i = 0; i < list_count(env); i++)
        words[i] = arena_printf(arena, TEXT_FMT "=" TEXT_FMT,
                                TEXT_ARG(value_string(value_get(env->list.items[i], "name"))),
                                TEXT_ARG(value_string(value_get(env->list.items[i], "value"))))
                       .data;
    plugin->argv = argv;
    plugin->env = words;
    plugin->api_version = arena_text(arena, value_string(value_get(exec, "apiVersion")));
    plugin->hint = arena_text(arena, value_string(value_get(exec, "installHint")));
    read_mode(reading, user, exec, plugin);
    if (value_bool(value_get(exec, "provideClusterInfo"), false))
        plugin->cluster = tell_cluster(reading, cluster);
    reading->config->plugin = plugin;
}

/* ---- users ---- */

static void refuse_others(struct reading *reading, const struct entry *user)
{
    static const struct {
        const char *member, *words;
    } OTHERS[] = {
        {"auth-provider", "is gone from Kubernetes since 1.26; use a plugin by `exec`"},
        {"username", "is gone from Kubernetes since 1.19; use a token or a certificate"},
        {"as", "(impersonation) is not supported; use a user with these rights"},
        {"as-uid", "(impersonation) is not supported; use a user with these rights"},
        {"as-groups", "(impersonation) is not supported; use a user with these rights"},
    };
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        if (!says_nothing(value_get(user->value, OTHERS[i].member)))
            complain(reading, user->file, "`%s` of user \"" TEXT_FMT "\" %s", OTHERS[i].member,
                     TEXT_ARG(user->name), OTHERS[i].words);
}

static void read_user(struct reading *reading, const struct entry *user,
                      const struct entry *cluster)
{
    struct kube_config *config = reading->config;
    struct text token_file = value_string(value_get(user->value, "tokenFile")), content;
    const struct value *exec = value_get(user->value, "exec");
    config->certificate = read_blob(reading, user, "client-certificate");
    config->key = read_blob(reading, user, "client-key");
    config->token = arena_text(&config->arena, value_string(value_get(user->value, "token")));
    if ((config->certificate.len > 0) != (config->key.len > 0))
        complain(reading, user->file,
                 "user \"" TEXT_FMT
                 "\" has one of client-certificate and client-key; it takes both",
                 TEXT_ARG(user->name));
    if (token_file.len > 0) {
        config->token_file = path_of(reading, user->file, token_file);
        const char *why = directory_read(config->token_file, &config->arena, &content);
        if (why != NULL && config->token.len == 0)
            complain(reading, user->file, "tokenFile of user \"" TEXT_FMT "\": %s: %s",
                     TEXT_ARG(user->name), config->token_file, why);
    }
    refuse_others(reading, user);
    if (!says_nothing(exec) && config->token.len == 0 && token_file.len == 0 &&
        config->certificate.len == 0)
        read_plugin(reading, user, exec, cluster);
}

static void read_context(struct reading *reading, struct text context)
{
    struct kube_config *config = reading->config;
    for (size_t i = 0; i < reading->count && context.len == 0; i++)
        context = value_string(value_get(reading->files[i].document, "current-context"));
    if (context.len == 0)
        complain(reading, NULL, "current-context is not set; give --context, one of: " TEXT_FMT,
                 TEXT_ARG(names_of(reading, "contexts")));
    struct entry chosen = find_named(reading, "contexts", context, "context");
    if (chosen.value == NULL) {
        complain(reading, NULL, "there is no context \"" TEXT_FMT "\"; there are: " TEXT_FMT,
                 TEXT_ARG(context), TEXT_ARG(names_of(reading, "contexts")));
        return;
    }
    struct text namespace = value_string(value_get(chosen.value, "namespace"));
    if (namespace.len > 0)
        config->namespace = arena_text(&config->arena, namespace);
    struct entry cluster = find_named(reading, "clusters",
                                      value_string(value_get(chosen.value, "cluster")), "cluster");
    struct entry user =
        find_named(reading, "users", value_string(value_get(chosen.value, "user")), "user");
    if (cluster.value == NULL)
        complain(reading, chosen.file,
                 "context \"" TEXT_FMT "\": there is no cluster \"" TEXT_FMT "\"",
                 TEXT_ARG(context), TEXT_ARG(cluster.name));
    else
        read_cluster(reading, &cluster);
    if (user.value == NULL && user.name.len > 0)
        complain(reading, chosen.file,
                 "context \"" TEXT_FMT "\": there is no user \"" TEXT_FMT "\"", TEXT_ARG(context),
                 TEXT_ARG(user.name));
    else if (user.value != NULL && reading->why == NULL)
        read_user(reading, &user, &cluster);
}

static void read_file(struct reading *reading, struct file *file, const char *path)
{
    struct arena *arena = &reading->config->arena;
    struct text content = TEXT_NONE;
    struct value_documents documents = {0};
    struct faults faults;
    const char *slash = strrchr(path, '/');
    file->path = arena_string(arena, text_of(path));
    file->directory = slash == NULL
                          ? TEXT(".")
                          : arena_text(arena, text_from(path, MAX((size_t)(slash - path), 1u)));
    const char *why = directory_read(path, arena, &content);
    if (why != NULL) {
        complain(reading, file, "%s", why);
        return;
    }
    faults_init(&faults, arena);
    bool parsed = value_parse_yaml(content, text_of(path), arena, &documents, &faults);
    if (!parsed && faults.count > 0)
        complain(reading, file, "line %u: " TEXT_FMT, faults.items[0].line,
                 TEXT_ARG(faults.items[0].what));
    else if (!parsed || documents.count != 1 || documents.items[0]->kind != VALUE_MAP)
        complain(reading, file, "it is no kubeconfig");
    else
        file->document = documents.items[0];
    faults_fini(&faults);
}

const char *kubeconfig_read(struct kube_config *config, const char *const *paths, size_t count,
                            struct text context)
{
    struct arena *arena = &config->arena;
    struct reading reading = {
        .config = config, .files = arena_array(arena, struct file, count), .count = count};
    for (size_t i = 0; i < count; i++) {
        config->source = arena_printf(arena, TEXT_FMT "%s%s", TEXT_ARG(config->source),
                                      i > 0 ? ":" : "", paths[i]);
        read_file(&reading, &reading.files[i], paths[i]);
    }
    if (reading.why == NULL)
        read_context(&reading, context);
    return reading.why;
}
