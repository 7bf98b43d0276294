/* Every push gets a version of the ledger; the outcome's own revision is remembered beside it, so
 * that an acknowledgement says which Gateways are programmed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/publish/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "control/publish/ledger.h"
#include "control/publish/reports.h"
#include "control/publish/scopes.h"
#include "schema/digest.h"
#include "xds/xds_server.h"

#define REMEMBERED 256 /* pushes whose outcome revision is known */

struct pushed {
    struct snapshot_version version, seen;
    struct digest digest;
    uint64_t revision; /* of the outcome */
};

struct publish {
    struct loop *loop;
    const struct publish_events *events;
    void *owner;
    bool has_ledger;
    struct ledger ledger;
    struct delta_server *server;
    struct scopes *scopes; /* NULL: every data plane serves all Gateways */
    struct reports *reports;
    struct xds_server *doors;
    struct pushed *pushed; /* a ring of REMEMBERED */
    size_t pushed_count;
    struct digest digest;
};

/* "namespace/name", or "/class"; empty: it serves all that there is. */
static struct text fleet_of(const struct delta_node *node)
{
    return strchr(node->cluster, '/') == NULL ? TEXT_NONE : text_of(node->cluster);
}

static void on_node(void *owner, const struct delta_node *node, bool joined)
{
    const struct publish *publish = owner;
    log_info(joined ? "data plane joined" : "data plane left", log_str("node", node->id),
             log_int("streams", node->streams));
    publish->events->on_node(publish->owner, fleet_of(node), text_of(node->id), joined);
}

static bool visible(void *owner, const struct delta_node *node, enum resource_type type,
                    struct text name)
{
    const struct publish *publish = owner;
    struct text fleet = fleet_of(node);
    return fleet.len == 0 || scopes_sees(publish->scopes, fleet, type, name);
}

static void on_turned(void *owner, struct text fleet, enum resource_type type, struct text name)
{
    struct publish *publish = owner;
    delta_server_turn(publish->server, fleet, type, name);
}

/* The newest push that is no newer than `version`, or that has this digest. */
static const struct pushed *find_pushed(const struct publish *publish,
                                        const struct snapshot_version *version,
                                        const struct digest *digest)
{
    size_t oldest = publish->pushed_count > REMEMBERED ? publish->pushed_count - REMEMBERED : 0;
    for (size_t i = publish->pushed_count; i > oldest; i--) {
        const struct pushed *pushed = &publish->pushed[(i - 1) % REMEMBERED];
        enum version_order order = version_compare(version, &pushed->version);
        if (order == VERSION_EQUAL || order == VERSION_NEWER ||
            (digest != NULL && digest_equal(*digest, pushed->digest)))
            return pushed;
    }
    return NULL;
}

static struct pushed *newest(struct publish *publish)
{
    return publish->pushed_count == 0 ? NULL
                                      : &publish->pushed[(publish->pushed_count - 1) % REMEMBERED];
}

static void note(struct publish *publish, const struct snapshot_version *version,
                 const struct snapshot_version *seen, uint64_t revision)
{
    publish->pushed_count++;
    *newest(publish) = (struct pushed){*version, *seen, publish->digest, revision};
}

static void on_ack(void *owner, const struct delta_node *node,
                   const struct snapshot_version *version, uint64_t apply_us)
{
    struct publish *publish = owner;
    log_info("snapshot applied", log_str("node", node->id),
             log_str("version", node->applied == NULL ? "" : node->applied),
             log_int("apply_us", (int64_t)apply_us));
    const struct pushed *pushed = find_pushed(publish, version, NULL);
    if (pushed == NULL)
        return;
    const struct publish_applied applied = {fleet_of(node), pushed->revision, pushed->seen,
                                            pushed->digest};
    publish->events->on_applied(publish->owner, &applied);
}

static void tell_faults(struct publish *publish, const Nantian__Config__V1__Refusal *refusal)
{
    for (size_t i = 0; i < refusal->n_faults; i++) {
        const Nantian__Config__V1__Fault *fault = refusal->faults[i];
        enum resource_type type = RESOURCE_TYPES;
        log_error("a data plane refused a resource", log_str("type", fault->type),
                  log_str("resource", fault->resource), log_str("field", fault->field),
                  log_str("reason", fault->reason), log_str("hint", fault->hint));
        struct text resource = text_of(fault->resource);
        if (!types_from_full_name(text_of(fault->type), &type) || type == RESOURCE_SNAPSHOT)
            continue;
        if (delta_server_runs(publish->server, type, resource))
            log_warn("it stays: other data planes run it, or may come back with it",
                     log_text("resource", resource));
        else
            publish->events->on_refused(publish->owner, type, resource, text_of(fault->reason),
                                        fault->local);
    }
    publish->events->on_refusals_end(publish->owner);
}

/* The data planes hold more than our ledger remembers (its file was lost): go above them. */
static void overtake(struct publish *publish, const Nantian__Config__V1__Refusal *refusal)
{
    struct snapshot_version held;
    if (!version_from_message(refusal->held, &held))
        return;
    if (!publish->has_ledger) {
        publish->events->on_behind(publish->owner, &held);
        return;
    }
    struct snapshot_version before = ledger_version(&publish->ledger);
    enum version_order order = version_compare(&held, &before);
    if (order == VERSION_OLDER || order == VERSION_EQUAL)
        return; /* answered already, or a replay */
    ledger_overtake(&publish->ledger, &held);
    ledger_advance(&publish->ledger, publish->digest);
    struct snapshot_version version = ledger_version(&publish->ledger);
    log_warn("a data plane holds a newer version; the counter moves above it",
             log_int("epoch", (int64_t)version.epoch),
             log_int("revision", (int64_t)publish->ledger.revision));
    note(publish, &version, &version, publish->pushed_count == 0 ? 0 : newest(publish)->revision);
    delta_server_publish(publish->server, NULL, 0, &version);
}

static void on_nack(void *owner, const struct delta_node *node, struct text type_url,
                    struct text words, const Nantian__Config__V1__Refusal *refusal)
{
    struct publish *publish = owner;
    log_error("a data plane refused a snapshot", log_str("node", node->id),
              log_text("type", type_url), log_text("why", words));
    if (refusal == NULL)
        return;
    struct text reason = text_of(refusal->reason);
    if (text_is(reason, "older") || text_is(reason, "incomparable"))
        overtake(publish, refusal);
    else if (refusal->n_faults > 0)
        tell_faults(publish, refusal);
}

static void on_unknown_type(void *owner, const struct delta_node *node, struct text type_url)
{
    (void)owner;
    log_warn("a data plane asked for a type that we do not have", log_str("node", node->id),
             log_text("type", type_url));
}

struct publish *publish_new(const struct publish_options *options)
{
    static const struct delta_server_events to_all = {
        .on_node = on_node,
        .on_ack = on_ack,
        .on_nack = on_nack,
        .on_unknown_type = on_unknown_type,
    };
    static const struct delta_server_events to_each = {
        .on_node = on_node,
        .on_ack = on_ack,
        .on_nack = on_nack,
        .on_unknown_type = on_unknown_type,
        .visible = visible,
    };
    struct publish *publish = memory_new(struct publish);
    publish->loop = options->loop;
    publish->events = options->events;
    publish->owner = options->owner;
    publish->pushed = memory_alloc(REMEMBERED * sizeof(struct pushed));
    publish->has_ledger = options->state_dir.len > 0;
    if (publish->has_ledger)
        ledger_open(&publish->ledger, options->state_dir,
                    loop_wall_ns(options->loop) / 1000000000u);
    publish->scopes = options->per_gateway ? scopes_new(on_turned, publish) : NULL;
    publish->server =
        delta_server_new(options->loop, options->per_gateway ? &to_each : &to_all, publish);
    publish->reports = reports_new(options->loop);
    publish->doors =
        xds_server_new(options->loop, publish->server, reports_server(publish->reports));
    return publish;
}

void publish_free(struct publish *publish)
{
    if (publish == NULL)
        return;
    xds_server_free(publish->doors);
    delta_server_free(publish->server);
    scopes_free(publish->scopes);
    reports_free(publish->reports);
    ledger_close(&publish->ledger);
    free(publish->pushed);
    free(publish);
}

const char *publish_listen(struct publish *publish, const struct address *address,
                           struct tls_context *tls)
{
    return xds_server_listen(publish->doors, address, tls);
}

void publish_certify(struct publish *publish, struct tls_context *tls)
{
    xds_server_certify(publish->doors, tls);
}

void publish_guard(struct publish *publish, guard_ask ask, void *owner)
{
    xds_server_guard(publish->doors, ask, owner);
}

void publish_answer(struct publish *publish, uint64_t ticket, struct text identity, const char *why)
{
    xds_server_answer(publish->doors, ticket, identity, why);
}

static struct digest content_digest(const struct outcome *outcome)
{
    struct schema_type_digest types[RESOURCE_TYPES];
    size_t count = 0;
    for (int type = 0; type < RESOURCE_TYPES; type++) {
        if (type == RESOURCE_SNAPSHOT)
            continue;
        struct schema_type_digest *one = &types[count++];
        one->type = text_of(types_full_name((enum resource_type)type));
        one->digest = outcome_digest(outcome, (enum resource_type)type, &one->count);
    }
    return schema_digest_snapshot(types, count);
}

static struct snapshot_version next_version(struct publish *publish,
                                            const struct publish_label *label)
{
    if (!publish->has_ledger)
        return label->version;
    if (!ledger_advance(&publish->ledger, publish->digest))
        log_error("the version counter cannot be written; a restart would resend everything",
                  log_str("path", publish->ledger.path), log_str("err", strerrordesc_np(errno)));
    return ledger_version(&publish->ledger);
}

/* Nothing changed, and what is there needs no other name. */
static bool is_told(struct publish *publish, const struct outcome_edits *edits,
                    const struct publish_label *label)
{
    struct pushed *last = newest(publish);
    if (last == NULL || edits->resource_count > 0 || edits->move_count > 0 || edits->has_moved)
        return false;
    if (label == NULL)
        return true;
    last->seen = label->seen;
    return !label->is_raised || version_compare(&label->version, &last->version) == VERSION_EQUAL;
}

void publish_push(struct publish *publish, const struct outcome *outcome,
                  const struct outcome_edits *edits, const struct publish_label *label)
{
    if (is_told(publish, edits, label))
        return;
    publish->digest = content_digest(outcome);
    struct snapshot_version version = next_version(publish, label);
    struct delta_edit *changes = memory_alloc((edits->resource_count + 1) * sizeof(*changes));
    for (size_t i = 0; i < edits->resource_count; i++)
        changes[i] = (struct delta_edit){
            .type = edits->resources[i].type,
            .name = edits->resources[i].name,
            .bytes = edits->resources[i].bytes,
            .removed = edits->resources[i].bytes.data == NULL,
        };
    note(publish, &version, label == NULL ? &version : &label->seen, outcome_revision(outcome));
    for (size_t i = 0; publish->scopes != NULL && i < edits->move_count; i++)
        scopes_move(publish->scopes, edits->moves[i].gateway, edits->moves[i].fleet,
                    edits->moves[i].joins);
    if (publish->scopes != NULL)
        scopes_take(publish->scopes, changes, edits->resource_count);
    delta_server_publish(publish->server, changes, edits->resource_count, &version);
    log_info("published", log_int("revision", (int64_t)outcome_revision(outcome)),
             log_int("changed", (int64_t)edits->resource_count),
             log_int("resources", (int64_t)resource_set_total(delta_server_set(publish->server))));
    free(changes);
}

bool publish_covered(const struct publish *publish, const struct snapshot_version *seen,
                     struct digest digest, uint64_t *ret_revision)
{
    const struct pushed *pushed = find_pushed(publish, seen, &digest);
    if (pushed != NULL)
        *ret_revision = pushed->revision;
    return pushed != NULL;
}

const struct delta_server *publish_server(const struct publish *publish)
{
    return publish->server;
}

bool publish_sees(const struct publish *publish, struct text gateway, enum resource_type type,
                  struct text name)
{
    return gateway.len == 0 || publish->scopes == NULL ||
           scopes_sees(publish->scopes, gateway, type, name);
}

const struct reports *publish_reports(const struct publish *publish)
{
    return publish->reports;
}

struct text publish_version(const struct publish *publish, struct arena *arena)
{
    const struct snapshot_version *version = delta_server_version(publish->server);
    return version == NULL ? TEXT_NONE : version_format(version, arena);
}

struct digest publish_digest(const struct publish *publish)
{
    return publish->digest;
}
