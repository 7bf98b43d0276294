/* Where a kubeconfig is looked for, as kubectl does; what a pod finds instead; the server's
 * address. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "control/files/directory.h"
#include "control/kube/kubeconfig.h"

#define POD_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"

static void begin(struct kube_config *config)
{
    *config = (struct kube_config){.namespace = TEXT("default")};
    arena_init(&config->arena, 0);
}

const char *kube_config_load(struct kube_config *config, const char *path, struct text context)
{
    begin(config);
    return kubeconfig_read(config, &path, 1, context);
}

static bool is_pod(void)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    return host != NULL && host[0] != '\0' && access(POD_DIRECTORY "/token", F_OK) == 0;
}

/* Those of $KUBECONFIG that are there, else the one of the home directory; how many. */
static size_t find_files(struct arena *arena, const char *paths[LIMIT_KUBECONFIGS])
{
    size_t count = 0;
    const char *listed = getenv("KUBECONFIG"), *home = getenv("HOME");
    struct text rest = text_of(listed), path;
    bool is_listed = rest.len > 0;
    while (count < LIMIT_KUBECONFIGS && text_split(&rest, ':', &path)) {
        paths[count] = arena_string(arena, path);
        count += path.len > 0 && access(paths[count], F_OK) == 0;
    }
    if (is_listed || home == NULL)
        return count;
    paths[0] = arena_printf(arena, "%s/.kube/config", home).data;
    return access(paths[0], F_OK) == 0 ? 1 : 0;
}

bool kube_config_is_there(void)
{
    const char *paths[LIMIT_KUBECONFIGS];
    struct arena arena;
    arena_init(&arena, 0);
    bool found = find_files(&arena, paths) > 0 || is_pod();
    arena_fini(&arena);
    return found;
}

const char *kube_config_find(struct kube_config *config, const char *path, struct text context)
{
    const char *paths[LIMIT_KUBECONFIGS];
    if (path != NULL)
        return kube_config_load(config, path, context);
    begin(config);
    size_t count = find_files(&config->arena, paths);
    if (count > 0)
        return kubeconfig_read(config, paths, count, context);
    if (is_pod() && context.len == 0) {
        arena_fini(&config->arena);
        return kube_config_in_cluster(config);
    }
    return getenv("KUBECONFIG") != NULL
               ? "no file that $KUBECONFIG names is there; mend it, or give --kubeconfig FILE"
               : "there is no ~/.kube/config; give --kubeconfig FILE or set $KUBECONFIG";
}

const char *kube_config_in_cluster(struct kube_config *config)
{
    begin(config);
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (host == NULL || host[0] == '\0')
        return "KUBERNETES_SERVICE_HOST is not set: this is no pod; give --kubeconfig";
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
    config->source = TEXT("the pod's service account");
    return kubeconfig_server(config, url);
}

void kube_config_fini(struct kube_config *config)
{
    if (config->key.data != NULL)
        explicit_bzero((char *)(uintptr_t)config->key.data, config->key.len);
    arena_fini(&config->arena);
}
