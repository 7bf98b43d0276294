/* Ours is applied as a whole; those of others come by a reflector of their own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/relay.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "control/kube/reflector.h"

#define LABEL   "nantian.dev/replica"
#define NOTE    "nantian.dev/statement"
#define PREFIX  "nantian-control-"
#define WHY_MAX 300 /* bytes of a reason */

/* A state that some of our data planes run. */
struct cut {
    struct cut *next;
    size_t users;
    struct snapshot_version seen;
    struct digest digest;
};

struct runner {
    char *gateway; /* owns */
    struct cut *cut;
};

struct peer {
    char *name, *identity, *version; /* own */
    struct arena arena;
    struct statement statement; /* in the arena */
    uint64_t heard_ms;
    bool is_listed;
    struct client_call *removal;
};

struct relay {
    struct relay_options options;
    struct text name; /* of our Lease; in the arena */
    struct arena arena;
    struct reflector *reflector;
    struct map peers;                                        /* name -> peer; owns */
    struct map runners;                                      /* gateway -> runner; owns */
    struct cut *cuts;                                        /* newest first */
    struct statement_refusal refusals[LIMIT_RELAY_REFUSALS]; /* a ring; own their texts */
    size_t refusal_count;
    struct timer due;
    uint64_t due_ms, wrote_ms;
    struct client_call *call;
    uint32_t failures;
    bool is_again;
};

static void due_in(struct relay *relay, uint64_t ms)
{
    uint64_t at = loop_now_ms(relay->options.loop) + ms;
    if (timer_is_armed(&relay->due) && relay->due_ms <= at)
        return;
    relay->due_ms = at;
    loop_arm(relay->options.loop, &relay->due, MAX(ms, 1u));
}

/* ---- what we state ---- */

static void cut_unref(struct relay *relay, struct cut *cut)
{
    if (cut == NULL || --cut->users > 0)
        return;
    struct cut **at = &relay->cuts;
    while (*at != cut)
        at = &(*at)->next;
    *at = cut->next;
    free(cut);
}

static struct cut *cut_get(struct relay *relay, const struct snapshot_version *seen,
                           struct digest digest)
{
    struct cut *cut = relay->cuts;
    while (cut != NULL && !(digest_equal(cut->digest, digest) &&
                            version_compare(&cut->seen, seen) == VERSION_EQUAL))
        cut = cut->next;
    if (cut == NULL) {
        cut = memory_new(struct cut);
        *cut = (struct cut){.next = relay->cuts, .seen = *seen, .digest = digest};
        relay->cuts = cut;
    }
    cut->users++;
    return cut;
}

void relay_applied(struct relay *relay, struct text gateway, const struct snapshot_version *seen,
                   struct digest digest)
{
    struct runner *runner = map_get(&relay->runners, gateway);
    if (runner == NULL) {
        runner = memory_new(struct runner);
        runner->gateway = memory_string(gateway);
        map_put(&relay->runners, text_of(runner->gateway), runner);
    }
    struct cut *before = runner->cut;
    runner->cut = cut_get(relay, seen, digest);
    cut_unref(relay, before);
}

static void free_refusal(struct statement_refusal *refusal)
{
    free((char *)(uintptr_t)refusal->name.data);
    free((char *)(uintptr_t)refusal->why.data);
}

void relay_refused(struct relay *relay, const struct statement_refusal *refusal)
{
    struct statement_refusal *place =
        &relay->refusals[relay->refusal_count++ % LIMIT_RELAY_REFUSALS];
    struct text why = text_slice(refusal->why, 0, WHY_MAX);
    free_refusal(place);
    *place = (struct statement_refusal){
        .type = refusal->type,
        .name = text_of(memory_string(refusal->name)),
        .why = text_of(memory_string(why)),
        .digest = refusal->digest,
    };
    relay_hurry(relay);
}

static void free_runner(struct relay *relay, struct runner *runner)
{
    cut_unref(relay, runner->cut);
    free(runner->gateway);
    free(runner);
}

/* Gateways that are gone need no word. */
static void forget_gone(struct relay *relay)
{
    size_t count;
    struct runner **all = (struct runner **)map_sorted(&relay->runners, &count);
    for (size_t i = 0; i < count; i++) {
        struct text gateway = text_of(all[i]->gateway);
        if (gateway.len == 0 || relay->options.events->is_there(relay->options.owner, gateway))
            continue;
        map_remove(&relay->runners, gateway);
        free_runner(relay, all[i]);
    }
    free(all);
}

static void add_statement(struct relay *relay, struct builder *out)
{
    struct arena arena;
    arena_init(&arena, 0);
    forget_gone(relay);
    size_t count, cut_count = 0;
    struct runner **all = (struct runner **)map_sorted(&relay->runners, &count);
    struct statement_cut *cuts = arena_array(&arena, struct statement_cut, count + 1);
    for (const struct cut *cut = relay->cuts; cut != NULL; cut = cut->next) {
        struct statement_cut *one = &cuts[cut_count++];
        *one = (struct statement_cut){.seen = cut->seen, .digest = cut->digest};
        one->gateways = arena_array(&arena, struct text, cut->users);
        for (size_t i = 0; i < count; i++)
            if (all[i]->cut == cut)
                one->gateways[one->gateway_count++] = text_of(all[i]->gateway);
    }
    const struct statement statement = {
        .nodes = relay->options.events->nodes(relay->options.owner),
        .cuts = cuts,
        .cut_count = cut_count,
        .refusals = relay->refusals,
        .refusal_count = MIN(relay->refusal_count, (size_t)LIMIT_RELAY_REFUSALS),
        .claim = relay->options.events->claim(relay->options.owner),
    };
    if (!statement_write(&statement, out))
        log_warn("too many Gateways for one statement of a replica; some are left out",
                 log_int("gateways", (int64_t)count));
    free(all);
    arena_fini(&arena);
}

static void add_body(struct relay *relay, struct builder *body)
{
    struct builder note CLEANUP(builder_fini) = {0};
    struct json json;
    char now[25], micro[28];
    clock_format(loop_wall_ns(relay->options.loop), now);
    memcpy(micro, now, 23);
    memcpy(micro + 23, "000Z", 5);
    add_statement(relay, &note);
    json_init(&json, body, 0);
    json_object_begin(&json, NULL);
    json_string(&json, "apiVersion", "coordination.k8s.io/v1");
    json_string(&json, "kind", "Lease");
    json_object_begin(&json, "metadata");
    json_text(&json, "name", relay->name);
    json_text(&json, "namespace", relay->options.namespace);
    json_object_begin(&json, "labels");
    json_string(&json, LABEL, "true");
    json_object_end(&json);
    json_object_begin(&json, "annotations");
    json_text(&json, NOTE, builder_text(&note));
    json_object_end(&json);
    json_object_end(&json);
    json_object_begin(&json, "spec");
    json_text(&json, "holderIdentity", relay->options.identity);
    json_int(&json, "leaseDurationSeconds", 2 * LIMIT_RELAY_MS / 1000);
    json_string(&json, "renewTime", micro);
    json_object_end(&json);
    json_object_end(&json);
}

static void on_stated(void *owner, const struct client_answer *answer)
{
    struct relay *relay = owner;
    relay->call = NULL;
    if (answer->status != 200 && answer->status != 201) {
        if (answer->status >= 400 && answer->status < 500 && answer->status != 429)
            log_error("what data planes say cannot be told to the other replicas",
                      log_int("status", answer->status),
                      log_text("answer", text_slice(answer->body, 0, 500)));
        due_in(relay, client_backoff_ms(relay->options.loop, ++relay->failures, answer));
        return;
    }
    relay->failures = 0;
    due_in(relay, relay->is_again
                      ? LIMIT_KUBE_WRITE_MS
                      : LIMIT_RELAY_MS / 2 +
                            random_below(loop_random(relay->options.loop), LIMIT_RELAY_MS / 2));
    relay->is_again = false;
}

static struct text path_of(const struct relay *relay, struct arena *arena, struct text name)
{
    return reflector_path(arena, "coordination.k8s.io", "v1", "leases", relay->options.namespace,
                          name);
}

static void tidy(struct relay *relay);

static void state(void *owner)
{
    static const struct client_events EVENTS = {.on_done = on_stated};
    struct relay *relay = owner;
    struct builder body CLEANUP(builder_fini) = {0};
    struct arena arena;
    if (relay->call != NULL) {
        relay->is_again = true;
        return;
    }
    arena_init(&arena, 0);
    add_body(relay, &body);
    const struct client_request request = {
        .method = "PATCH",
        .path = arena_printf(&arena, TEXT_FMT "?fieldManager=nantian-control&force=true",
                             TEXT_ARG(path_of(relay, &arena, relay->name))),
        .content_type = "application/apply-patch+yaml",
        .body = builder_text(&body),
        .timeout_ms = LIMIT_KUBE_CALL_MS,
    };
    relay->wrote_ms = loop_now_ms(relay->options.loop);
    relay->call = client_start(relay->options.client, &request, &EVENTS, relay);
    arena_fini(&arena);
    tidy(relay);
}

void relay_hurry(struct relay *relay)
{
    uint64_t since = loop_now_ms(relay->options.loop) - relay->wrote_ms;
    if (relay->reflector == NULL)
        return;
    if (relay->call != NULL)
        relay->is_again = true;
    else
        due_in(relay, since >= LIMIT_KUBE_WRITE_MS ? 1 : LIMIT_KUBE_WRITE_MS - since);
}

/* ---- what others state ---- */

static void free_peer(struct peer *peer)
{
    client_cancel(peer->removal);
    arena_fini(&peer->arena);
    free(peer->name);
    free(peer->identity);
    free(peer->version);
    free(peer);
}

static struct peer *peer_get(struct relay *relay, struct text name)
{
    struct peer *peer = map_get(&relay->peers, name);
    if (peer != NULL || relay->peers.count >= LIMIT_RELAY_PEERS)
        return peer;
    peer = memory_new(struct peer);
    peer->name = memory_string(name);
    arena_init(&peer->arena, 0);
    map_put(&relay->peers, text_of(peer->name), peer);
    return peer;
}

static void on_object(void *owner, const struct value *object, uint64_t version)
{
    (void)version;
    struct relay *relay = owner;
    const struct value *metadata = value_get(object, "metadata");
    struct text name = value_string(value_get(metadata, "name"));
    struct text note = value_string(value_get(value_get(metadata, "annotations"), NOTE));
    if (note.len == 0 || text_equal(name, relay->name))
        return;
    struct peer *peer = peer_get(relay, name);
    if (peer == NULL)
        return;
    struct text said = value_string(value_get(metadata, "resourceVersion"));
    peer->is_listed = true;
    if (peer->version != NULL && text_is(said, peer->version))
        return; /* another list tells nothing new: who is silent must be seen to be */
    free(peer->identity);
    free(peer->version);
    peer->version = memory_string(said);
    peer->identity =
        memory_string(value_string(value_get(value_get(object, "spec"), "holderIdentity")));
    peer->heard_ms = loop_now_ms(relay->options.loop);
    arena_reset(&peer->arena);
    if (statement_read(arena_text(&peer->arena, note), &peer->arena, &peer->statement))
        relay->options.events->on_statement(relay->options.owner, &peer->statement);
    else
        peer->statement = (struct statement){0};
}

static void forget(struct relay *relay, struct text name)
{
    struct peer *peer = map_remove(&relay->peers, name);
    if (peer != NULL)
        free_peer(peer);
}

static void on_removed(void *owner, const struct value *object, uint64_t version)
{
    (void)version;
    forget(owner, value_string(value_get(value_get(object, "metadata"), "name")));
}

static void on_list(void *owner)
{
    struct relay *relay = owner;
    struct map_entry *entry;
    for (size_t at = 0; map_next(&relay->peers, &at, &entry);)
        ((struct peer *)entry->value)->is_listed = false;
}

static void on_listed(void *owner, uint64_t version)
{
    (void)version;
    struct relay *relay = owner;
    size_t count;
    struct peer **all = (struct peer **)map_sorted(&relay->peers, &count);
    for (size_t i = 0; i < count; i++)
        if (!all[i]->is_listed)
            forget(relay, text_of(all[i]->name));
    free(all);
}

static void on_version(void *owner, uint64_t version)
{
    (void)owner;
    (void)version;
}

void relay_relist(struct relay *relay)
{
    if (relay->reflector != NULL)
        reflector_relist(relay->reflector);
}

void relay_retell(struct relay *relay)
{
    struct map_entry *entry;
    for (size_t at = 0; map_next(&relay->peers, &at, &entry);)
        relay->options.events->on_statement(relay->options.owner,
                                            &((struct peer *)entry->value)->statement);
}

/* ---- what nobody renews ---- */

static void on_tidied(void *owner, const struct client_answer *answer)
{
    (void)answer;
    ((struct peer *)owner)->removal = NULL;
}

static void tidy(struct relay *relay)
{
    static const struct client_events EVENTS = {.on_done = on_tidied};
    struct map_entry *entry;
    for (size_t at = 0; map_next(&relay->peers, &at, &entry);) {
        struct peer *peer = entry->value;
        struct arena arena;
        if (peer->removal != NULL || !relay->options.events->leads(relay->options.owner) ||
            loop_now_ms(relay->options.loop) - peer->heard_ms < LIMIT_RELAY_GONE_MS)
            continue;
        arena_init(&arena, 0);
        const struct client_request request = {
            .method = "DELETE",
            .path = path_of(relay, &arena, text_of(peer->name)),
            .timeout_ms = LIMIT_KUBE_CALL_MS,
        };
        peer->removal = client_start(relay->options.client, &request, &EVENTS, peer);
        arena_fini(&arena);
    }
}

/* ---- the whole ---- */

struct relay *relay_new(const struct relay_options *options)
{
    struct relay *relay = memory_new(struct relay);
    struct text identity = options->identity;
    relay->options = *options;
    arena_init(&relay->arena, 0);
    size_t from = identity.len;
    while (from > 0 && identity.data[from - 1] != '_')
        from--;
    relay->name = arena_printf(&relay->arena, PREFIX TEXT_FMT,
                               TEXT_ARG(text_slice(identity, from, identity.len)));
    map_init(&relay->peers);
    map_init(&relay->runners);
    timer_init(&relay->due, relay, state);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (relay == NULL)
        return;
    struct map_entry *entry;
    reflector_free(relay->reflector);
    client_cancel(relay->call);
    loop_disarm(relay->options.loop, &relay->due);
    for (size_t at = 0; map_next(&relay->peers, &at, &entry);)
        free_peer(entry->value);
    for (size_t at = 0; map_next(&relay->runners, &at, &entry);)
        free_runner(relay, entry->value);
    for (size_t i = 0; i < LIMIT_RELAY_REFUSALS; i++)
        free_refusal(&relay->refusals[i]);
    map_fini(&relay->peers);
    map_fini(&relay->runners);
    arena_fini(&relay->arena);
    free(relay);
}

void relay_start(struct relay *relay)
{
    static const struct reflector_events EVENTS = {on_list, on_object, on_removed, on_listed,
                                                   on_version};
    static const char *const VERSIONS[] = {"v1"};
    relay->reflector = reflector_new(&(struct reflector_options){
        .loop = relay->options.loop,
        .client = relay->options.client,
        .group = "coordination.k8s.io",
        .versions = VERSIONS,
        .version_count = 1,
        .plural = "leases",
        .selector = "labelSelector=" LABEL "%3Dtrue",
        .namespace = relay->options.namespace,
        .relist_ms = LIMIT_KUBE_RELIST_MS,
        .events = &EVENTS,
        .owner = relay,
    });
    reflector_start(relay->reflector);
    due_in(relay, 1);
}

void relay_json(const struct relay *relay, struct text leader, struct json *json)
{
    struct map_entry *entry;
    json_array_begin(json, NULL);
    json_object_begin(json, NULL);
    json_text(json, "name", relay->options.identity);
    json_bool(json, "this", true);
    json_bool(json, "leads", relay->options.events->leads(relay->options.owner));
    json_int(json, "nodes", (int64_t)relay->options.events->nodes(relay->options.owner));
    json_object_end(json);
    for (size_t at = 0; map_next(&relay->peers, &at, &entry);) {
        const struct peer *peer = entry->value;
        uint64_t age = loop_now_ms(relay->options.loop) - peer->heard_ms;
        json_object_begin(json, NULL);
        json_string(json, "name", peer->identity);
        json_bool(json, "this", false);
        json_bool(json, "leads", text_is(leader, peer->identity));
        json_int(json, "nodes", (int64_t)peer->statement.nodes);
        json_int(json, "heardSecondsAgo", (int64_t)(age / 1000));
        json_object_end(json);
    }
    json_array_end(json);
}
