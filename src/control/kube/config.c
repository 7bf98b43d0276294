/* kubeconfig files (v1), as far as a program without a person needs them: token, token file, client
 * certificate, all inline or by path. Auth plugins are said to be missing, not ignored. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/config.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/value.h"
#include "control/files/directory.h"

#define POD_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"

struct reading {
    struct kube_config *config;
    struct text directory; /* of the kubeconfig: paths in it start there */
    const char *why;       /* NULL so far */
};

static void complain(struct reading *reading, struct text words)
{
    if (reading->why == NULL)
        reading->why = words.data;
}

static const struct value *find_named(const struct value *list, struct text name,
                                      const char *member)
{
    for (size_t i = 0; list != NULL && list->kind == VALUE_LIST && i < list->list.count; i++)
        if (text_equal(value_string(value_get(list->list.items[i], "name")), name))
            return value_get(list->list.items[i], member);
    return NULL;
}

static const char *path_of(struct reading *reading, struct text path)
{
    struct arena *arena = &reading->config->arena;
    if (path.data[0] == '/')
        return arena_string(arena, path);
    return arena_printf(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(reading->directory), TEXT_ARG(path))
        .data;
}

/* "<name>-data" in base64, or the file that "<name>" names; empty if neither is there. */
static struct text read_blob(struct reading *reading, const struct value *from, const char *name)
{
    struct arena *arena = &reading->config->arena;
    struct text out = TEXT_NONE;
    struct text data = value_string(value_get(from, arena_printf(arena, "%s-data", name).data));
    struct text path = value_string(value_get(from, name));
    if (data.len > 0) {
        if (!base64_decode(data, arena, &out))
            complain(reading, arena_printf(arena, "%s-data is not base64", name));
    } else if (path.len > 0) {
        const char *file = path_of(reading, path);
        const char *why = directory_read(file, arena, &out);
        if (why != NULL)
            complain(reading, arena_printf(arena, "%s: %s", file, why));
    }
    return out;
}

static void look_up(struct reading *reading, struct text host, uint16_t port)
{
    struct kube_config *config = reading->config;
    if (address_parse(host, port, &config->address))
        return;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(arena_string(&config->arena, host), NULL, &hints, &found);
    if (code != 0) {
        complain(reading,
                 arena_printf(&config->arena, TEXT_FMT ": %s", TEXT_ARG(host), gai_strerror(code)));
        return;
    }
    config->address.len = found->ai_addrlen;
    memcpy(&config->address.storage, found->ai_addr, found->ai_addrlen);
    address_set_port(&config->address, port);
    freeaddrinfo(found);
}

/* "https://HOST[:PORT][/PREFIX]" */
static void read_server(struct reading *reading, struct text url)
{
    struct kube_config *config = reading->config;
    struct text rest = url;
    config->is_tls = text_starts_with(url, TEXT("https://"));
    if (!config->is_tls && !text_starts_with(url, TEXT("http://"))) {
        complain(reading, TEXT("the cluster's server is no http:// or https:// address"));
        return;
    }
    rest = text_slice(rest, config->is_tls ? 8 : 7, rest.len);
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
            complain(reading, TEXT("the port of the cluster's server is no number"));
        host = text_slice(host, 0, colon - 1);
    }
    if (host.len > 1 && host.data[0] == '[')
        host = text_slice(host, 1, host.len - 1);
    if (config->server_name.len == 0)
        config->server_name = arena_text(&config->arena, host);
    if (reading->why == NULL)
        look_up(reading, host, (uint16_t)port);
}

static void read_cluster(struct reading *reading, const struct value *cluster)
{
    struct kube_config *config = reading->config;
    config->server_name =
        arena_text(&config->arena, value_string(value_get(cluster, "tls-server-name")));
    config->is_insecure = value_bool(value_get(cluster, "insecure-skip-tls-verify"), false);
    config->ca = read_blob(reading, cluster, "certificate-authority");
    read_server(reading, value_string(value_get(cluster, "server")));
}

static void read_user(struct reading *reading, const struct value *user)
{
    struct kube_config *config = reading->config;
    config->certificate = read_blob(reading, user, "client-certificate");
    config->key = read_blob(reading, user, "client-key");
    config->token = arena_text(&config->arena, value_string(value_get(user, "token")));
    struct text token_file = value_string(value_get(user, "tokenFile"));
    if (token_file.len > 0)
        config->token_file = path_of(reading, token_file);
    bool has_plugin = value_get(user, "exec") != NULL || value_get(user, "auth-provider") != NULL;
    if (has_plugin && config->token.len == 0 && config->certificate.len == 0)
        complain(reading, TEXT("its user comes from a plugin; give it a token or a certificate"));
}

static void read_document(struct reading *reading, const struct value *document,
                          struct text context)
{
    struct kube_config *config = reading->config;
    if (context.len == 0)
        context = value_string(value_get(document, "current-context"));
    const struct value *chosen = find_named(value_get(document, "contexts"), context, "context");
    if (chosen == NULL) {
        complain(reading, arena_printf(&config->arena, "there is no context \"" TEXT_FMT "\"",
                                       TEXT_ARG(context)));
        return;
    }
    struct text cluster_name = value_string(value_get(chosen, "cluster"));
    const struct value *cluster =
        find_named(value_get(document, "clusters"), cluster_name, "cluster");
    struct text user_name = value_string(value_get(chosen, "user"));
    const struct value *user = find_named(value_get(document, "users"), user_name, "user");
    struct text namespace = value_string(value_get(chosen, "namespace"));
    if (namespace.len > 0)
        config->namespace = arena_text(&config->arena, namespace);
    if (cluster == NULL)
        complain(reading, arena_printf(&config->arena, "there is no cluster \"" TEXT_FMT "\"",
                                       TEXT_ARG(cluster_name)));
    else
        read_cluster(reading, cluster);
    if (user == NULL && user_name.len > 0)
        complain(reading, arena_printf(&config->arena, "there is no user \"" TEXT_FMT "\"",
                                       TEXT_ARG(user_name)));
    else if (user != NULL)
        read_user(reading, user);
}

static void begin(struct kube_config *config)
{
    *config = (struct kube_config){.namespace = TEXT("default")};
    arena_init(&config->arena, 0);
}

const char *kube_config_load(struct kube_config *config, const char *path, struct text context)
{
    begin(config);
    struct reading reading = {.config = config};
    const char *slash = strrchr(path, '/');
    reading.directory = slash == NULL ? TEXT(".") : text_from(path, (size_t)(slash - path));
    struct text content;
    const char *why = directory_read(path, &config->arena, &content);
    if (why != NULL)
        return why;
    struct faults faults;
    struct value_documents documents = {0};
    faults_init(&faults, &config->arena);
    if (value_parse_yaml(content, text_of(path), &config->arena, &documents, &faults) &&
        documents.count > 0)
        read_document(&reading, documents.items[0], context);
    else
        complain(&reading, TEXT("it is no YAML document"));
    faults_fini(&faults);
    return reading.why;
}

const char *kube_config_in_cluster(struct kube_config *config)
{
    begin(config);
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (host == NULL || host[0] == '\0')
        return "KUBERNETES_SERVICE_HOST is not set: this is no pod; give --kubeconfig";
    struct reading reading = {.config = config};
    bool is_v6 = strchr(host, ':') != NULL;
    struct text url = arena_printf(&config->arena, "https://%s%s%s:%s", is_v6 ? "[" : "", host,
                                   is_v6 ? "]" : "", port == NULL ? "443" : port);
    struct text namespace = TEXT_NONE;
    const char *why = directory_read(POD_DIRECTORY "/ca.crt", &config->arena, &config->ca);
    if (why != NULL)
        return arena_printf(&config->arena, POD_DIRECTORY "/ca.crt: %s", why).data;
    if (directory_read(POD_DIRECTORY "/namespace", &config->arena, &namespace) == NULL &&
        namespace.len > 0)
        config->namespace = text_trim(namespace);
    config->token_file = POD_DIRECTORY "/token";
    read_server(&reading, url);
    return reading.why;
}

void kube_config_fini(struct kube_config *config)
{
    if (config->key.data != NULL)
        explicit_bzero((char *)(uintptr_t)config->key.data, config->key.len);
    arena_fini(&config->arena);
}
