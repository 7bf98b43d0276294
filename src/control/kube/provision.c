/* A site a Gateway: the digest of what was applied, and the step in hand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/provision.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "control/kind/gateway.h"
#include "control/kube/holder.h"
#include "control/kube/tailor.h"

struct site {
    struct provision *provision;
    char *path; /* owns: "namespace/name" */
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
};

struct provision {
    struct provision_options options;
    struct map sites;              /* path -> site; owns */
    const struct outcome *outcome; /* borrows; NULL before the first run */
    struct timer again;
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

static struct site *site_of(struct provision *provision, const struct kind_meta *meta)
{
    struct builder path CLEANUP(builder_fini) = {0};
    builder_printf(&path, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(meta->namespace), TEXT_ARG(meta->name));
    struct site *site = map_get(&provision->sites, builder_text(&path));
    if (site != NULL)
        return site;
    site = memory_new(struct site);
    site->provision = provision;
    site->path = memory_string(builder_text(&path));
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
static bool is_taken(struct site *site, const struct kind_object *gateway)
{
    const struct provision_options *options = &site->provision->options;
    struct arena arena;
    struct text words = TEXT_NONE;
    arena_init(&arena, 0);
    struct text name = manifest_name(gateway, &arena);
    struct text holder =
        holder_find(options->store, site->provision->outcome, gateway->meta.namespace, name);
    bool taken = holder.len > 0 && !text_equal(holder, gateway->meta.name);
    if (taken)
        words = arena_printf(
            &arena,
            "The objects of its data planes would be called \"" TEXT_FMT
            "\", as those of the Gateway " TEXT_FMT
            " are, which has them until they are gone; give this Gateway another name or class.",
            TEXT_ARG(name), TEXT_ARG(holder));
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
    log_error("an object of a Gateway's data planes cannot be applied",
              log_str("gateway", site->path), log_text("object", site->manifests[site->step].path),
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
        log_info("data planes are provisioned", log_str("gateway", site->path));
        return;
    }
    if (provision->options.may_write(provision->options.owner))
        start_step(site);
    else
        site->step = KIND_OVERLAYS;
}

/* False: there is nothing that could be applied. */
static bool make(struct site *site, const struct kind_object *gateway, struct arena *arena,
                 struct manifest manifests[KIND_OVERLAYS], bool *ret_is_tailored)
{
    const struct provision_options *options = &site->provision->options;
    if (!manifest_make(&options->manifests, options->store, gateway, arena, manifests))
        return false;
    struct text why = tailor_lay(options->store, gateway, arena, manifests, ret_is_tailored);
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

/* Takes the place of what is under way for an older form. */
static void apply(struct site *site, const struct kind_object *gateway)
{
    struct provision *provision = site->provision;
    struct builder all CLEANUP(builder_fini) = {0};
    struct arena arena;
    struct manifest manifests[KIND_OVERLAYS];
    bool is_tailored = false;
    arena_init(&arena, 0);
    if (!make(site, gateway, &arena, manifests, &is_tailored) ||
        !provision->options.may_write(provision->options.owner)) {
        arena_fini(&arena);
        return;
    }
    for (size_t i = 0; i < KIND_OVERLAYS; i++) {
        builder_add(&all, manifests[i].path);
        builder_add(&all, manifests[i].json);
    }
    struct digest wanted = hash_digest(builder_text(&all));
    bool is_under_way = site->step < KIND_OVERLAYS && digest_equal(wanted, site->wanted);
    bool is_done = site->step == KIND_OVERLAYS && digest_equal(wanted, site->applied);
    if (is_done)
        tell(site, TEXT_NONE);
    if (is_under_way || is_done) {
        arena_fini(&arena);
        return;
    }
    client_cancel(site->call);
    site->call = NULL;
    loop_disarm(provision->options.loop, &site->retry);
    arena_fini(&site->arena);
    site->arena = arena;
    memcpy(site->manifests, manifests, sizeof(manifests));
    site->wanted = wanted;
    site->is_trial = is_tailored;
    site->step = 0;
    next_step(site);
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

/* Somebody took the Service away: then the rest may be gone as well. */
static bool is_bare(struct provision *provision, const struct kind_object *gateway)
{
    struct arena arena;
    arena_init(&arena, 0);
    bool bare = store_get(provision->options.store, KIND_SERVICE, gateway->meta.namespace,
                          manifest_name(gateway, &arena)) == NULL;
    arena_fini(&arena);
    return bare;
}

static void run(struct provision *provision)
{
    struct map_entry *item;
    struct store_list gateways = store_list(provision->options.store, KIND_GATEWAY);
    uint64_t now = loop_now_ms(provision->options.loop);
    if (provision->outcome == NULL)
        return;
    for (size_t at = 0; map_next(&provision->sites, &at, &item);)
        ((struct site *)item->value)->is_seen = false;
    for (size_t i = 0; i < gateways.count; i++) {
        const struct kind_meta *meta = &gateways.items[i]->meta;
        struct store_key key = {KIND_GATEWAY, meta->namespace, meta->name};
        if (outcome_status(provision->outcome, key) == NULL)
            continue; /* of somebody else's class */
        struct site *site = site_of(provision, meta);
        site->is_seen = true;
        bool is_old = now - site->applied_ms > LIMIT_KUBE_APPLY_MS / 2;
        if (is_old || (is_bare(provision, gateways.items[i]) && now - site->applied_ms > 2000))
            site->applied = (struct digest){0};
        if (is_taken(site, gateways.items[i]))
            give_up(site);
        else
            apply(site, gateways.items[i]);
    }
    drop_unseen(provision);
    loop_arm(provision->options.loop, &provision->again, LIMIT_KUBE_APPLY_MS);
}

static void on_again(void *owner)
{
    run(owner);
}

void provision_take(struct provision *provision, const struct outcome *outcome)
{
    provision->outcome = outcome;
    run(provision);
}

void provision_set_back(struct provision *provision)
{
    struct map_entry *item;
    for (size_t at = 0; map_next(&provision->sites, &at, &item);)
        ((struct site *)item->value)->applied = (struct digest){0};
}

void provision_begin(struct provision *provision)
{
    provision_set_back(provision);
    run(provision);
}

struct text provision_gateway(struct store *store, const struct outcome *outcome,
                              struct text namespace, struct text account, struct arena *arena)
{
    struct text name = holder_find(store, outcome, namespace, account);
    const struct kind_object *gateway = store_get(store, KIND_GATEWAY, namespace, name);
    if (gateway == NULL || !text_equal(manifest_name(gateway, arena), account))
        return TEXT_NONE;
    return arena_printf(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(namespace), TEXT_ARG(name));
}

struct provision *provision_new(const struct provision_options *options)
{
    struct provision *provision = memory_new(struct provision);
    provision->options = *options;
    map_init(&provision->sites);
    timer_init(&provision->again, provision, on_again);
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
    free(provision);
}
