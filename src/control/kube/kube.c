/* Puts the parts of this folder together. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/kube.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "control/kube/client.h"
#include "control/kube/election.h"
#include "control/kube/mirror.h"
#include "control/kube/status_writer.h"

struct kube {
    struct loop *loop;
    struct kube_config config;
    struct client *client;
    struct mirror *mirror;
    struct election *election;
    struct status_writer *writer;
    const struct kube_events *events;
    void *owner;
};

static void on_change(void *owner)
{
    struct kube *kube = owner;
    kube->events->on_change(kube->owner);
}

static void on_object(void *owner, enum kind_id kind, const struct value *object)
{
    struct kube *kube = owner;
    status_writer_observe(kube->writer, kind, object);
}

static void on_removed(void *owner, struct store_key key)
{
    struct kube *kube = owner;
    status_writer_forget(kube->writer, key);
}

static bool may_write(void *owner)
{
    struct kube *kube = owner;
    return election_is_held(kube->election);
}

static const char *api_version(void *owner, enum kind_id kind)
{
    const struct kube *kube = owner;
    return mirror_api_version(kube->mirror, kind);
}

static void on_held(void *owner)
{
    struct kube *kube = owner;
    log_info("this control plane leads: it writes statuses",
             log_text("namespace", kube->config.namespace));
    status_writer_begin(kube->writer);
}

static void on_lost(void *owner)
{
    struct kube *kube = owner;
    log_warn("this control plane leads no more",
             log_text("holder", election_holder(kube->election)));
}

static void on_released(void *owner)
{
    struct kube *kube = owner;
    kube->events->on_stopped(kube->owner);
}

/* A pod's name is unique at a time; the rest tells its container's lives apart. */
static struct text identity(struct arena *arena)
{
    char host[64] = "";
    unsigned char salt[6];
    random_secure(salt, sizeof(salt));
    (void)gethostname(host, sizeof(host) - 1);
    return arena_printf(arena, "%s_%02x%02x%02x%02x%02x%02x", host, salt[0], salt[1], salt[2],
                        salt[3], salt[4], salt[5]);
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
    static const struct mirror_events MIRROR_EVENTS = {on_change, on_object, on_removed};
    static const struct election_events ELECTION_EVENTS = {on_held, on_lost, on_released};
    struct kube *kube = memory_new(struct kube);
    kube->loop = options->loop;
    kube->events = options->events;
    kube->owner = options->owner;
    if (!load(kube, options)) {
        kube_free(kube);
        return NULL;
    }
    kube->mirror = mirror_new(kube->loop, kube->client, options->store, &MIRROR_EVENTS, kube);
    kube->election = election_new(kube->loop, kube->client, kube->config.namespace,
                                  identity(&kube->config.arena), &ELECTION_EVENTS, kube);
    kube->writer = status_writer_new(&(struct status_writer_options){
        .loop = kube->loop,
        .client = kube->client,
        .controller = options->controller,
        .may_write = may_write,
        .api_version = api_version,
        .owner = kube,
    });
    return kube;
}

void kube_free(struct kube *kube)
{
    if (kube == NULL)
        return;
    status_writer_free(kube->writer);
    election_free(kube->election);
    mirror_free(kube->mirror);
    client_free(kube->client);
    kube_config_fini(&kube->config);
    free(kube);
}

void kube_start(struct kube *kube)
{
    mirror_start(kube->mirror);
    election_start(kube->election);
}

void kube_stop(struct kube *kube)
{
    election_release(kube->election);
}

void kube_take(struct kube *kube, const struct outcome *outcome, const struct outcome_edits *edits)
{
    status_writer_take(kube->writer, outcome, edits);
}

bool kube_is_leader(struct kube *kube)
{
    return election_is_held(kube->election);
}

void kube_json(const struct kube *kube, struct json *json)
{
    mirror_json(kube->mirror, json);
}
