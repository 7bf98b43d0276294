/* A site a fleet: the digest of what was applied, and the step in hand. What goes has a site as
 * well, until the store has its Service no more. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/provision.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "control/kind/gateway.h"
#include "control/kind/service.h"
#include "control/kube/holder.h"
#include "control/kube/tailor.h"
#include "control/translate/terms/conditions.h"

struct site {
    struct provision *provision;
    char *path; /* owns: the fleet's; of what goes: "- namespace/name" of its Service */
    struct digest applied, wanted;
    struct arena arena; /* of the manifests */
    struct manifest manifests[KIND_OVERLAYS];
    size_t step;   /* KIND_OVERLAYS: nothing is under way */
    bool is_trial; /* the API server is asked whether it would take them, overlays and all */
    uint32_t failures;
    uint64_t applied_ms;
    struct client_call *call;
    struct timer retry;
    bool is_seen, is_taken;
    bool is_heard; /* one of its data planes runs what we serve */
};

struct provision {
    struct provision_options options;
    struct map sites;              /* path -> site; owns */
    const struct outcome *outcome; /* borrows; NULL before the first run */
    struct timer again;
    struct timer refresh; /* then everything is applied again */
    bool is_stale;        /* there may be what nobody needs any more */
    bool is_unsettled;    /* something waits for the next run, whatever brings it */
    bool did_write;       /* we led at the last run */
    uint64_t made_of;     /* what the last run read of the store */
};

static void next_step(struct site *site);

static void on_retry(void *owner)
{
    next_step(owner);
}

static void free_site(struct site *site)
{
    client_cancel(site->call);
    loop_disarm(site->provision->options.loop, &site->retry);
    arena_fini(&site->arena);
    free(site->path);
    free(site);
}

static struct site *site_of(struct provision *provision, struct text path)
{
    struct site *site = map_get(&provision->sites, path);
    if (site != NULL)
        return site;
    site = memory_new(struct site);
    site->provision = provision;
    site->path = memory_string(path);
    site->step = KIND_OVERLAYS;
    arena_init(&site->arena, 0);
    timer_init(&site->retry, site, on_retry);
    map_put(&provision->sites, text_of(site->path), site);
    return site;
}

/* ---- applying ---- */

static void tell(struct site *site, struct text why)
{
    const struct provision_options *options = &site->provision->options;
    options->on_refused(options->owner, text_of(site->path), why, false);
}

/* True: the objects that it would have are another Gateway's. */
static bool is_taken(struct site *site, const struct fleet *fleet)
{
    const struct provision_options *options = &site->provision->options;
    struct arena arena;
    struct text words = TEXT_NONE, holder = TEXT_NONE;
    arena_init(&arena, 0);
    if (!fleet_is_shared(fleet))
        holder =
            holder_find(options->store, site->provision->outcome, fleet->namespace, fleet->name);
    bool taken = holder.len > 0 && !text_equal(holder, fleet->owner->meta.name);
    if (taken)
        words = arena_printf(
            &arena,
            "The objects of its data planes would be called \"" TEXT_FMT
            "\", as those of the Gateway " TEXT_FMT
            " are, which has them until they are gone; give this Gateway another name or class.",
            TEXT_ARG(fleet->name), TEXT_ARG(holder));
    if (taken || site->is_taken)
        options->on_refused(options->owner, text_of(site->path), words, true);
    site->is_taken = taken;
    arena_fini(&arena);
    return taken;
}

/* What the API server has against an overlay. */
static void tell_refusal(struct site *site, const struct client_answer *answer)
{
    struct arena arena;
    struct faults faults;
    struct value *status = NULL;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    struct text words = TEXT_NONE;
    if (value_parse_json(answer->body, TEXT_NONE, &arena, &status, &faults))
        words = value_string(value_get(status, "message"));
    tell(site, arena_printf(&arena, "The API server takes no such spec.%s: " TEXT_FMT,
                            kind_overlay_name((enum kind_overlay)site->step),
                            TEXT_ARG(text_slice(words, 0, 1000))));
    faults_fini(&faults);
    arena_fini(&arena);
}

static void on_applied(void *owner, const struct client_answer *answer)
{
    struct site *site = owner;
    struct provision *provision = site->provision;
    bool is_removal = site->manifests[site->step].json.len == 0;
    site->call = NULL;
    if (answer->status == 200 || answer->status == 201 || (is_removal && answer->status == 404)) {
        site->failures = 0;
        site->step++;
        next_step(site);
        return;
    }
    if (site->is_trial && (answer->status == 400 || answer->status == 403 || answer->status == 422))
        tell_refusal(site, answer);
    uint64_t pause = client_backoff_ms(provision->options.loop, ++site->failures, answer);
    log_error("an object of a fleet of data planes cannot be applied", log_str("fleet", site->path),
              log_text("object", site->manifests[site->step].path),
              log_int("status", answer->status),
              log_text("answer", answer->status == 0 ? text_of(answer->why)
                                                     : text_slice(answer->body, 0, 500)));
    loop_arm(provision->options.loop, &site->retry, pause);
}

static void start_step(struct site *site)
{
    static const struct client_events EVENTS = {.on_done = on_applied};
    const struct manifest *manifest = &site->manifests[site->step];
    bool is_removal = manifest->json.len == 0;
    struct arena arena;
    arena_init(&arena, 0);
    const struct client_request request = {
        .method = is_removal ? "DELETE" : "PATCH",
        .path = is_removal
                    ? manifest->path
                    : arena_printf(&arena, TEXT_FMT "?fieldManager=nantian-control&force=true%s",
                                   TEXT_ARG(manifest->path), site->is_trial ? "&dryRun=All" : ""),
        .content_type = is_removal ? NULL : "application/apply-patch+yaml",
        .body = manifest->json,
        .timeout_ms = LIMIT_KUBE_CALL_MS,
        .may_start = site->provision->options.may_write,
        .guard = site->provision->options.owner,
    };
    site->call = client_start(site->provision->options.client, &request, &EVENTS, site);
    arena_fini(&arena);
}

static void next_step(struct site *site)
{
    struct provision *provision = site->provision;
    while (site->is_trial && site->step < KIND_OVERLAYS &&
           site->manifests[site->step].json.len == 0)
        site->step++;
    if (site->is_trial && site->step == KIND_OVERLAYS) {
        tell(site, TEXT_NONE);
        site->is_trial = false;
        site->step = 0;
    }
    if (site->step == KIND_OVERLAYS) {
        site->applied = site->wanted;
        site->applied_ms = loop_now_ms(provision->options.loop);
        log_info(site->path[0] == '-' ? "data planes are taken away"
                                      : "data planes are provisioned",
                 log_str("fleet", site->path));
        return;
    }
    if (provision->options.may_write(provision->options.owner)) {
        start_step(site);
    } else {
        site->step = KIND_OVERLAYS;
        provision->is_unsettled = true;
    }
}

/* False: there is nothing that could be applied. */
static bool make(struct site *site, const struct fleet *fleet, struct arena *arena,
                 struct manifest manifests[KIND_OVERLAYS], bool *ret_is_tailored)
{
    const struct provision_options *options = &site->provision->options;
    if (!manifest_make(&options->manifests, options->store, fleet, arena, manifests))
        return false;
    struct text why = tailor_lay(options->store, fleet, arena, manifests, ret_is_tailored);
    if (why.len > 0 || !*ret_is_tailored)
        tell(site, why);
    return why.len == 0;
}

static void give_up(struct site *site)
{
    client_cancel(site->call);
    site->call = NULL;
    loop_disarm(site->provision->options.loop, &site->retry);
    site->step = KIND_OVERLAYS;
    site->applied = (struct digest){0};
}

/* Takes the place of what is under way for an older form; the arena becomes the site's. */
static void set_out(struct site *site, struct arena *arena,
                    const struct manifest manifests[KIND_OVERLAYS], bool is_trial)
{
    struct provision *provision = site->provision;
    struct builder all CLEANUP(builder_fini) = {0};
    for (size_t i = 0; i < KIND_OVERLAYS; i++) {
        builder_add(&all, manifests[i].path);
        builder_add(&all, manifests[i].json);
    }
    struct digest wanted = hash_digest(builder_text(&all));
    bool is_under_way = site->step < KIND_OVERLAYS && digest_equal(wanted, site->wanted);
    bool is_done = site->step == KIND_OVERLAYS && digest_equal(wanted, site->applied);
    if (is_done && site->path[0] != '-')
        tell(site, TEXT_NONE);
    if (is_under_way || is_done) {
        arena_fini(arena);
        return;
    }
    client_cancel(site->call);
    site->call = NULL;
    loop_disarm(provision->options.loop, &site->retry);
    arena_fini(&site->arena);
    site->arena = *arena;
    memcpy(site->manifests, manifests, sizeof(site->manifests));
    site->wanted = wanted;
    site->is_trial = is_trial;
    site->step = 0;
    next_step(site);
}

static bool may_write(const struct provision *provision)
{
    return provision->options.may_write(provision->options.owner);
}

/* Somebody took the Service away: then the rest may be gone as well. */
static bool is_bare(const struct provision *provision, const struct fleet *fleet)
{
    return store_get(provision->options.store, KIND_SERVICE, fleet->namespace, fleet->name) == NULL;
}

static void apply(struct provision *provision, const struct fleet *fleet)
{
    struct site *site = site_of(provision, fleet->path);
    uint64_t age = loop_now_ms(provision->options.loop) - site->applied_ms;
    struct arena arena;
    struct manifest manifests[KIND_OVERLAYS];
    bool is_tailored = false, has_gone = is_bare(provision, fleet);
    site->is_seen = true;
    provision->is_unsettled |= has_gone;
    if (age > 2000 && has_gone)
        site->applied = (struct digest){0};
    if (is_taken(site, fleet)) {
        give_up(site);
        return;
    }
    arena_init(&arena, 0);
    if (make(site, fleet, &arena, manifests, &is_tailored) && may_write(provision))
        set_out(site, &arena, manifests, is_tailored);
    else
        arena_fini(&arena);
}

/* ---- taking away ---- */

/* Nothing of the Gateway is served, or the data planes that it has by now serve it. */
static bool has_moved(const struct provision *provision, const struct kind_meta *meta)
{
    const struct outcome *outcome = provision->outcome;
    struct store_key key = {KIND_GATEWAY, meta->namespace, meta->name};
    const struct object_status *status = outcome_status(outcome, key);
    if (status == NULL || !outcome_serves(outcome, meta->namespace, meta->name))
        return true;
    const struct site *site =
        map_get(&provision->sites, outcome_fleet(outcome, meta->namespace, meta->name));
    return site != NULL && site->is_heard && conditions_are_true(&status->conditions, "Programmed");
}

/* The data planes behind this Service of ours are not those that its Gateway has by now. */
static bool is_left_by_gateway(const struct provision *provision, const struct kind_meta *service,
                               const struct kind_object *gateway, struct arena *arena)
{
    struct fleet own = fleet_of_gateway(gateway, arena);
    struct text path =
        outcome_fleet(provision->outcome, gateway->meta.namespace, gateway->meta.name);
    bool is_own = text_equal(path, own.path) && text_equal(service->name, own.name);
    return path.len > 0 && !is_own;
}

/* The same of a class, whose Gateways have others or are gone. */
static bool is_left_by_class(const struct provision *provision, const struct kind_meta *service,
                             const struct kind_object *class, struct arena *arena)
{
    struct fleet fleet;
    if (!fleet_of_class(provision->options.store, class, arena, &fleet))
        return true;
    const struct site *site = map_get(&provision->sites, fleet.path);
    return site == NULL || !site->is_seen || !text_equal(fleet.namespace, service->namespace) ||
           !text_equal(fleet.name, service->name);
}

static bool have_all_moved(const struct provision *provision, struct text class)
{
    struct store_list gateways = store_list(provision->options.store, KIND_GATEWAY);
    for (size_t i = 0; i < gateways.count; i++)
        if (text_equal(gateways.items[i]->gateway->class_name, class) &&
            !has_moved(provision, &gateways.items[i]->meta))
            return false;
    return true;
}

/* Of a Gateway or a class that is there; else the API server's garbage collector sees to it. */
static bool is_left(const struct provision *provision, const struct kind_meta *service,
                    bool *ret_may_go)
{
    struct store *store = provision->options.store;
    struct text name = kind_pairs_get(&service->annotations, KIND_ANNOTATION_GATEWAY);
    struct text class_name = kind_pairs_get(&service->annotations, KIND_ANNOTATION_FLEET);
    const struct kind_object *gateway = store_get(store, KIND_GATEWAY, service->namespace, name);
    const struct kind_object *class = store_get(store, KIND_GATEWAY_CLASS, TEXT_NONE, class_name);
    struct arena arena;
    bool is_left = false;
    arena_init(&arena, 0);
    if (gateway != NULL) {
        is_left = is_left_by_gateway(provision, service, gateway, &arena);
        *ret_may_go = is_left && has_moved(provision, &gateway->meta);
    } else if (class != NULL) {
        is_left = is_left_by_class(provision, service, class, &arena);
        *ret_may_go = is_left && have_all_moved(provision, class_name);
    }
    arena_fini(&arena);
    return is_left;
}

static void take_away(struct provision *provision, const struct kind_meta *service)
{
    struct builder path CLEANUP(builder_fini) = {0};
    struct manifest manifests[KIND_OVERLAYS];
    struct arena arena;
    builder_printf(&path, "- " TEXT_FMT "/" TEXT_FMT, TEXT_ARG(service->namespace),
                   TEXT_ARG(service->name));
    struct site *site = site_of(provision, builder_text(&path));
    site->is_seen = true;
    if (loop_now_ms(provision->options.loop) - site->applied_ms > 2000)
        site->applied = (struct digest){0};
    arena_init(&arena, 0);
    manifest_unmake(service->namespace, service->name, &arena, manifests);
    set_out(site, &arena, manifests, false);
}

/* Looked for when there may be any: after a move, when we begin to lead, and now and then. */
static void take_away_stale(struct provision *provision)
{
    struct store_list services = store_list(provision->options.store, KIND_SERVICE);
    provision->is_stale = false;
    for (size_t i = 0; i < services.count; i++) {
        const struct kind_meta *meta = &services.items[i]->meta;
        bool may_go = false;
        if (!text_is(kind_pairs_get(&meta->labels, MANIFEST_LABEL_MANAGER), "nantian-control") ||
            !is_left(provision, meta, &may_go))
            continue;
        provision->is_stale = true;
        if (may_go)
            take_away(provision, meta);
    }
}

static void drop_unseen(struct provision *provision)
{
    struct map_entry *item;
    for (size_t at = 0; map_next(&provision->sites, &at, &item);) {
        struct site *site = item->value;
        if (site->is_seen)
            continue;
        map_remove(&provision->sites, text_of(site->path)); /* its objects go with the Gateway */
        free_site(site);
        at = 0;
    }
}

static void apply_shared(struct provision *provision, const struct kind_object *class)
{
    struct store_list gateways = store_list(provision->options.store, KIND_GATEWAY);
    struct fleet fleet;
    struct arena arena;
    arena_init(&arena, 0);
    bool is_shared = fleet_of_class(provision->options.store, class, &arena, &fleet);
    for (size_t i = 0; is_shared && i < gateways.count; i++) {
        const struct kind_meta *meta = &gateways.items[i]->meta;
        if (text_equal(outcome_fleet(provision->outcome, meta->namespace, meta->name), fleet.path))
            fleet.gateways[fleet.gateway_count++] = gateways.items[i];
    }
    if (is_shared && fleet.gateway_count > 0)
        apply(provision, &fleet);
    arena_fini(&arena);
}

static void apply_own(struct provision *provision, const struct kind_object *gateway)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct fleet fleet = fleet_of_gateway(gateway, &arena);
    struct text path =
        outcome_fleet(provision->outcome, gateway->meta.namespace, gateway->meta.name);
    if (text_equal(path, fleet.path))
        apply(provision, &fleet);
    arena_fini(&arena);
}

/* Rises with every change of what manifests are made of. */
static uint64_t sources(const struct provision *provision)
{
    static const enum kind_id KINDS[] = {KIND_GATEWAY, KIND_GATEWAY_CLASS, KIND_LISTENER_SET,
                                         KIND_GATEWAY_PARAMETERS, KIND_SERVICE};
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++)
        sum += store_revision(provision->options.store, KINDS[i]);
    return sum;
}

/* What changed, a Route, an endpoint, is nothing to the objects of data planes. */
static bool is_settled(const struct provision *provision)
{
    bool writes = may_write(provision);
    return !(writes && provision->is_stale) && !provision->is_unsettled &&
           provision->did_write == writes && provision->made_of == sources(provision);
}

static void run(struct provision *provision)
{
    struct map_entry *item;
    struct store_list gateways = store_list(provision->options.store, KIND_GATEWAY);
    struct store_list classes = store_list(provision->options.store, KIND_GATEWAY_CLASS);
    if (provision->outcome == NULL)
        return;
    provision->made_of = sources(provision);
    provision->did_write = may_write(provision);
    provision->is_unsettled = false;
    for (size_t at = 0; map_next(&provision->sites, &at, &item);)
        ((struct site *)item->value)->is_seen = false;
    for (size_t i = 0; i < gateways.count; i++)
        apply_own(provision, gateways.items[i]);
    for (size_t i = 0; i < classes.count; i++)
        apply_shared(provision, classes.items[i]);
    if (provision->is_stale && may_write(provision))
        take_away_stale(provision);
    drop_unseen(provision);
}

static void on_again(void *owner)
{
    struct provision *provision = owner;
    provision->is_stale = true;
    run(provision);
}

void provision_take(struct provision *provision, const struct outcome *outcome)
{
    provision->outcome = outcome;
    provision->is_stale |= outcome_edits(outcome)->has_moved;
    if (!is_settled(provision))
        run(provision);
}

void provision_heard(struct provision *provision, struct text fleet)
{
    struct site *site = map_get(&provision->sites, fleet);
    if (site == NULL || site->is_heard)
        return;
    site->is_heard = true;
    if (provision->is_stale) /* it may be what something waits for that can go now */
        loop_arm(provision->options.loop, &provision->again, 0);
}

void provision_set_back(struct provision *provision)
{
    struct map_entry *item;
    for (size_t at = 0; map_next(&provision->sites, &at, &item);)
        ((struct site *)item->value)->applied = (struct digest){0};
    provision->is_stale = true;
}

/* By the clock and not with the next change: that may be a Gateway's end, and what is applied as it
 * goes stands up again behind it for a while. */
static void on_refresh(void *owner)
{
    struct provision *provision = owner;
    loop_arm(provision->options.loop, &provision->refresh, LIMIT_KUBE_APPLY_MS);
    provision_set_back(provision);
    run(provision);
}

void provision_begin(struct provision *provision)
{
    on_refresh(provision);
}

struct provision *provision_new(const struct provision_options *options)
{
    struct provision *provision = memory_new(struct provision);
    provision->options = *options;
    map_init(&provision->sites);
    timer_init(&provision->again, provision, on_again);
    timer_init(&provision->refresh, provision, on_refresh);
    return provision;
}

void provision_free(struct provision *provision)
{
    if (provision == NULL)
        return;
    struct map_entry *item;
    for (size_t at = 0; map_next(&provision->sites, &at, &item);)
        free_site(item->value);
    map_fini(&provision->sites);
    loop_disarm(provision->options.loop, &provision->again);
    loop_disarm(provision->options.loop, &provision->refresh);
    free(provision);
}
