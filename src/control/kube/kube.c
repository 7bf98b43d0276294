/* Puts the parts of this folder together. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/kube.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "control/kube/client.h"
#include "control/kube/mirror.h"

struct kube {
    struct loop *loop;
    struct kube_config config;
    struct client *client;
    struct mirror *mirror;
    const struct kube_events *events;
    void *owner;
};

static void on_change(void *owner)
{
    struct kube *kube = owner;
    kube->events->on_change(kube->owner);
}

static bool load(struct kube *kube, const struct kube_options *options)
{
    struct arena arena;
    arena_init(&arena, 0);
    const char *path = arena_string(&arena, options->kubeconfig);
    const char *why = options->kubeconfig.len > 0
                          ? kube_config_load(&kube->config, path, options->context)
                          : kube_config_in_cluster(&kube->config);
    if (why == NULL)
        kube->client = client_new(kube->loop, &kube->config, &why);
    if (kube->client == NULL)
        log_error("the cluster cannot be reached like this",
                  log_str("kubeconfig", options->kubeconfig.len > 0 ? path : "in-cluster"),
                  log_str("why", why));
    arena_fini(&arena);
    return kube->client != NULL;
}

struct kube *kube_new(const struct kube_options *options)
{
    static const struct mirror_events MIRROR_EVENTS = {.on_change = on_change};
    struct kube *kube = memory_new(struct kube);
    kube->loop = options->loop;
    kube->events = options->events;
    kube->owner = options->owner;
    if (!load(kube, options)) {
        kube_free(kube);
        return NULL;
    }
    kube->mirror = mirror_new(kube->loop, kube->client, options->store, &MIRROR_EVENTS, kube);
    return kube;
}

void kube_free(struct kube *kube)
{
    if (kube == NULL)
        return;
    mirror_free(kube->mirror);
    client_free(kube->client);
    kube_config_fini(&kube->config);
    free(kube);
}

void kube_start(struct kube *kube)
{
    mirror_start(kube->mirror);
}

void kube_json(const struct kube *kube, struct json *json)
{
    mirror_json(kube->mirror, json);
}
