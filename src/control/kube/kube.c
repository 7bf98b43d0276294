/* Puts the parts of this folder together. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/kube.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "control/kube/bundle.h"
#include "control/kube/client.h"
#include "control/kube/credentials.h"
#include "control/kube/election.h"
#include "control/kube/holder.h"
#include "control/kube/mirror.h"
#include "control/kube/provision.h"
#include "control/kube/recorder.h"
#include "control/kube/relay.h"
#include "control/kube/review.h"
#include "control/kube/status_writer.h"
#include "control/kube/versions.h"
#include "control/store/parameters.h"

struct kube {
    struct loop *loop;
    struct kube_config config;
    struct client *client;
    struct mirror *mirror;
    struct versions *versions;
    struct relay *relay;
    struct election *election;
    struct status_writer *writer;
    struct reviews *reviews;
    struct viewers *viewers; /* NULL: nobody asked for them */
    struct recorder *recorder;
    struct bundle *bundle;
    bool is_certified, is_bundle_known; /* what must be there before the first list */
    bool is_begun;                      /* the lists run */
    struct credentials *credentials;    /* NULL: nobody comes over TCP */
    struct provision *provision;        /* NULL: not wanted, or the certificate is not there yet */
    struct store *store;                /* borrows */
    const struct outcome *outcome;      /* borrows; of the last run */
    struct text proxy_image, server_name, xds_address;
    bool is_raised; /* versions_get says more of the same */
    struct defer raised;
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

static void on_listed(void *owner)
{
    versions_listed(((struct kube *)owner)->versions);
}

/* Not at once: this comes in the midst of what a data plane says. */
static void on_raised(void *owner)
{
    struct kube *kube = owner;
    kube->is_raised = true;
    loop_defer(kube->loop, &kube->raised);
}

static void on_set_back(void *owner)
{
    struct kube *kube = owner;
    status_writer_set_back(kube->writer);
    relay_relist(kube->relay);
    if (kube->provision != NULL)
        provision_set_back(kube->provision);
}

static void on_gone_back(void *owner, uint64_t epoch)
{
    struct kube *kube = owner;
    if (!election_is_held(kube->election))
        return;
    log_warn("data planes hold what the API server does not know any more",
             log_int("epoch", (int64_t)epoch));
    election_raise(kube->election, epoch);
}

static void on_statement(void *owner, const struct statement *statement)
{
    struct kube *kube = owner;
    if (statement->claim != NULL)
        versions_claimed(kube->versions, statement->claim);
    for (size_t i = 0; kube->provision != NULL && i < statement->cut_count; i++)
        for (size_t k = 0; k < statement->cuts[i].gateway_count; k++)
            provision_heard(kube->provision, statement->cuts[i].gateways[k]);
    kube->events->on_statement(kube->owner, statement);
}

static uint64_t count_nodes(void *owner)
{
    struct kube *kube = owner;
    return kube->events->nodes(kube->owner);
}

static const struct snapshot_version *claim_of(void *owner)
{
    return versions_claim(((struct kube *)owner)->versions);
}

static bool is_there(void *owner, struct text gateway)
{
    const struct kube *kube = owner;
    struct text rest = gateway, namespace = TEXT_NONE;
    if (!text_split(&rest, '/', &namespace) || kube->outcome == NULL)
        return false;
    if (namespace.len > 0)
        return text_equal(outcome_fleet(kube->outcome, namespace, rest), gateway);
    const struct kind_object *class = store_get(kube->store, KIND_GATEWAY_CLASS, TEXT_NONE, rest);
    return class != NULL && parameters_fleet(kube->store, class).len > 0;
}

static bool may_write(void *owner)
{
    struct kube *kube = owner;
    return election_is_held(kube->election);
}

static bool may_say(void *owner)
{
    const struct kube *kube = owner;
    return versions_are_known(kube->versions) && election_is_held(kube->election);
}

static const char *api_version(void *owner, enum kind_id kind)
{
    const struct kube *kube = owner;
    return mirror_api_version(kube->mirror, kind);
}

static void on_status_written(void *owner, struct store_key key, const struct value *before,
                              const struct value *after)
{
    struct kube *kube = owner;
    const struct kind_object *object = store_get(kube->store, key.kind, key.namespace, key.name);
    if (object != NULL && (key.kind == KIND_GATEWAY || key.kind == KIND_LISTENER_SET))
        recorder_tell_turns(kube->recorder, &object->meta, before, after);
}

static void on_held(void *owner)
{
    struct kube *kube = owner;
    log_info("this control plane leads: it writes statuses",
             log_text("namespace", kube->config.namespace));
    status_writer_begin(kube->writer);
    if (kube->provision != NULL)
        provision_begin(kube->provision);
    kube->events->on_held(kube->owner);
}

static void on_election_changed(void *owner)
{
    struct kube *kube = owner;
    versions_epoch(kube->versions, election_epoch(kube->election));
    relay_hurry(kube->relay); /* who leads now shall hear it all */
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

static void on_refused(void *owner, struct text fleet, struct text why, bool is_taken)
{
    struct kube *kube = owner;
    kube->events->on_refused(kube->owner, fleet, why, is_taken);
}

/* Not before: what is translated may be signed with the key, and statuses name the release. */
static void begin(struct kube *kube)
{
    if (kube->is_begun || !kube->is_certified || !kube->is_bundle_known)
        return;
    kube->is_begun = true;
    mirror_start(kube->mirror);
}

static void on_bundle(void *owner, struct text version)
{
    struct kube *kube = owner;
    kube->is_bundle_known = true;
    kube->events->on_bundle(kube->owner, version);
    begin(kube);
}

static void expect_provision(struct kube *kube, struct text authority)
{
    kube->provision = provision_new(&(struct provision_options){
        .loop = kube->loop,
        .client = kube->client,
        .store = kube->store,
        .manifests = {.image = kube->proxy_image,
                      .xds_address = kube->xds_address,
                      .ca = arena_text(&kube->config.arena, authority),
                      .server_name = kube->server_name,
                      .audience = TEXT(REVIEW_AUDIENCE)},
        .may_write = may_write,
        .on_refused = on_refused,
        .owner = kube,
    });
    if (kube->outcome != NULL)
        provision_take(kube->provision, kube->outcome);
}

static void on_credentials(void *owner, const struct credentials_issued *issued)
{
    struct kube *kube = owner;
    if (kube->proxy_image.len > 0 && kube->provision == NULL)
        expect_provision(kube, issued->authority);
    kube->events->on_credentials(kube->owner, issued->chain, issued->key, issued->secret);
    kube->is_certified = true;
    begin(kube);
}

static void on_reviewed(void *owner, uint64_t ticket, struct text namespace, struct text account,
                        bool is_checked, const char *why)
{
    (void)is_checked;
    struct kube *kube = owner;
    struct arena arena;
    arena_init(&arena, 0);
    struct text fleet = TEXT_NONE;
    if (namespace.len > 0)
        fleet = holder_of_account(kube->store, kube->outcome, namespace, account, &arena);
    if (namespace.len > 0 && fleet.len == 0)
        why = "the service account is of no Gateway's data planes";
    kube->events->on_identity(kube->owner, ticket, fleet, why);
    arena_fini(&arena);
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
        kube->client = client_new(kube->loop, &kube->config,
                                  options->lease_ms - election_hold_ms(options->lease_ms), &why);
    if (kube->client == NULL)
        log_error("the cluster cannot be reached like this",
                  log_str("kubeconfig", options->kubeconfig.len > 0 ? path : "in-cluster"),
                  log_str("why", why));
    arena_fini(&arena);
    return kube->client != NULL;
}

static void expect_data_planes(struct kube *kube, const struct kube_options *options)
{
    struct arena *arena = &kube->config.arena;
    kube->proxy_image = arena_text(arena, options->proxy_image);
    kube->server_name =
        arena_printf(arena, "nantian-control." TEXT_FMT ".svc", TEXT_ARG(kube->config.namespace));
    kube->xds_address =
        arena_printf(arena, TEXT_FMT ":%u", TEXT_ARG(kube->server_name), options->xds_port);
    kube->credentials = credentials_new(&(struct credentials_options){
        .loop = kube->loop,
        .client = kube->client,
        .namespace = kube->config.namespace,
        .server_name = kube->server_name,
        .life_s = options->certificate_s,
        .on_ready = on_credentials,
        .owner = kube,
    });
}

static void watch_and_tell(struct kube *kube, const struct kube_options *options,
                           struct text identity)
{
    static const struct mirror_events MIRROR_EVENTS = {on_change, on_object, on_removed, on_listed};
    static const struct versions_events VERSIONS_EVENTS = {on_set_back, on_raised, on_gone_back};
    static const struct relay_events RELAY_EVENTS = {on_statement, count_nodes, claim_of, is_there,
                                                     may_write};
    kube->mirror = mirror_new(&(struct mirror_options){
        .loop = kube->loop,
        .client = kube->client,
        .store = kube->store,
        .relist_ms = options->relist_ms,
        .events = &MIRROR_EVENTS,
        .owner = kube,
    });
    kube->versions = versions_new(kube->loop, kube->mirror, &VERSIONS_EVENTS, kube);
    kube->relay = relay_new(&(struct relay_options){
        .loop = kube->loop,
        .client = kube->client,
        .namespace = kube->config.namespace,
        .identity = identity,
        .events = &RELAY_EVENTS,
        .owner = kube,
    });
}

static void on_raised_later(void *owner)
{
    struct kube *kube = owner;
    kube->events->on_change(kube->owner);
}

struct kube *kube_new(const struct kube_options *options)
{
    static const struct election_events ELECTION_EVENTS = {on_held, on_lost, on_released,
                                                           on_election_changed};
    struct kube *kube = memory_new(struct kube);
    kube->loop = options->loop;
    kube->events = options->events;
    kube->owner = options->owner;
    kube->store = options->store;
    defer_init(&kube->raised, kube, on_raised_later);
    if (!load(kube, options)) {
        kube_free(kube);
        return NULL;
    }
    struct text self = identity(&kube->config.arena);
    kube->election = election_new(&(struct election_options){
        .loop = kube->loop,
        .client = kube->client,
        .namespace = kube->config.namespace,
        .identity = self,
        .lease_ms = options->lease_ms,
        .events = &ELECTION_EVENTS,
        .owner = kube,
    });
    watch_and_tell(kube, options, self);
    kube->writer = status_writer_new(&(struct status_writer_options){
        .loop = kube->loop,
        .client = kube->client,
        .controller = options->controller,
        .may_write = may_say,
        .api_version = api_version,
        .on_written = on_status_written,
        .owner = kube,
    });
    kube->recorder = recorder_new(&(struct recorder_options){
        .loop = kube->loop,
        .client = kube->client,
        .controller = options->controller,
        .instance = self,
    });
    kube->bundle = bundle_new(kube->loop, kube->client, on_bundle, kube);
    kube->reviews = review_new(kube->client, REVIEW_AUDIENCE, on_reviewed, kube);
    if (options->xds_port != 0)
        expect_data_planes(kube, options);
    return kube;
}

void kube_free(struct kube *kube)
{
    if (kube == NULL)
        return;
    provision_free(kube->provision);
    credentials_free(kube->credentials);
    review_free(kube->reviews);
    viewers_free(kube->viewers);
    recorder_free(kube->recorder);
    bundle_free(kube->bundle);
    status_writer_free(kube->writer);
    election_free(kube->election);
    relay_free(kube->relay);
    versions_free(kube->versions);
    mirror_free(kube->mirror);
    loop_undefer(kube->loop, &kube->raised);
    client_free(kube->client);
    kube_config_fini(&kube->config);
    free(kube);
}

void kube_start(struct kube *kube)
{
    election_start(kube->election);
    bundle_start(kube->bundle);
    relay_start(kube->relay);
    if (kube->credentials != NULL)
        credentials_start(kube->credentials);
    else
        kube->is_certified = true;
}

void kube_stop(struct kube *kube)
{
    election_release(kube->election);
}

void kube_take(struct kube *kube, const struct outcome *outcome, const struct outcome_edits *edits)
{
    kube->outcome = outcome;
    status_writer_take(kube->writer, outcome, edits);
    if (kube->provision != NULL)
        provision_take(kube->provision, outcome);
}

void kube_tell(struct kube *kube, struct store_key about, bool is_warning, const char *reason,
               struct text note)
{
    const struct kind_object *object =
        store_get(kube->store, about.kind, about.namespace, about.name);
    if (object != NULL)
        recorder_tell(kube->recorder,
                      &(struct recorder_event){&object->meta, is_warning, reason, "Publish", note});
}

void kube_ask(struct kube *kube, uint64_t ticket, struct text token)
{
    if (token.len == 0)
        kube->events->on_identity(kube->owner, ticket, TEXT_NONE, "no token was shown");
    else
        review_ask(kube->reviews, ticket, token);
}

void kube_guard(struct kube *kube, viewers_answer on_answer, void *owner)
{
    kube->viewers = viewers_new(kube->loop, kube->client, kube->config.namespace, on_answer, owner);
}

void kube_admit(struct kube *kube, uint64_t ticket, const struct message *head)
{
    viewers_ask(kube->viewers, ticket, head);
}

bool kube_is_ready(const struct kube *kube)
{
    return versions_are_known(kube->versions) && !mirror_is_waiting(kube->mirror);
}

bool kube_versions(struct kube *kube, struct snapshot_version *ret_label,
                   struct snapshot_version *ret_seen)
{
    bool is_raised = kube->is_raised;
    kube->is_raised = false;
    versions_get(kube->versions, ret_label, ret_seen);
    return is_raised;
}

void kube_refused_older(struct kube *kube, const struct snapshot_version *held)
{
    versions_refused(kube->versions, held);
    if (versions_claim(kube->versions) != NULL)
        relay_hurry(kube->relay);
}

void kube_applied(struct kube *kube, struct text fleet, const struct snapshot_version *seen,
                  struct digest digest, bool is_news)
{
    relay_applied(kube->relay, fleet, seen, digest);
    if (kube->provision != NULL)
        provision_heard(kube->provision, fleet);
    if (is_news && !election_is_held(kube->election))
        relay_hurry(kube->relay);
}

void kube_refused(struct kube *kube, const struct statement_refusal *refusal)
{
    relay_refused(kube->relay, refusal);
}

void kube_retell(struct kube *kube)
{
    relay_retell(kube->relay);
}

bool kube_says(const struct kube *kube, struct store_key key, const char *condition)
{
    return status_writer_says(kube->writer, key, condition);
}

bool kube_is_leader(struct kube *kube)
{
    return election_is_held(kube->election);
}

void kube_replicas_json(const struct kube *kube, struct json *json)
{
    relay_json(kube->relay, election_holder(kube->election), json);
}

void kube_json(const struct kube *kube, struct json *json)
{
    mirror_json(kube->mirror, json);
}
