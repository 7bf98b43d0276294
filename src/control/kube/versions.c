/* One claim at a time: the highest of what data planes say that they hold. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/versions.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"

struct versions {
    struct loop *loop;
    struct mirror *mirror; /* borrows */
    const struct versions_events *events;
    void *owner;
    uint64_t epoch;      /* 0: not known */
    uint64_t next_epoch; /* 0: none; counts when every list that was asked for is in */
    bool has_claim;
    bool is_refused; /* some of it was offered, under too low a name */
    struct snapshot_version claim;
    uint64_t claimed_ms;
    struct timer again;
};

static void raise_to(struct snapshot_version *claim, const struct snapshot_version *held)
{
    for (uint32_t i = 0; i < held->count; i++) {
        const struct version_component *one = &held->vector[i];
        struct text kind = text_of(one->kind);
        if (one->revision > version_get(claim, kind) && !version_set(claim, kind, one->revision))
            return; /* more kinds than there can be: what fits is enough to be behind */
    }
}

static void drop_claim(struct versions *versions)
{
    versions->has_claim = false;
    versions->is_refused = false;
    loop_disarm(versions->loop, &versions->again);
}

/* True: nothing is claimed any more that we do not come up to. */
static bool meets(struct versions *versions, bool asks)
{
    if (!versions->has_claim)
        return true;
    bool is_met = versions->claim.epoch == versions->epoch &&
                  mirror_covers(versions->mirror, &versions->claim, asks);
    bool is_past = versions->claim.epoch < versions->epoch; /* it takes what we have now */
    bool is_refused = versions->is_refused;
    if (is_met || is_past)
        drop_claim(versions);
    /* Not of what we are called already: replicas repeat what they were told long ago. */
    if (is_met && (mirror_raise(versions->mirror, &versions->claim) || is_refused))
        versions->events->on_raised(versions->owner);
    return is_met || is_past;
}

/* Asks the API server, and comes back. */
static void look(void *owner)
{
    struct versions *versions = owner;
    bool is_told = !mirror_is_asking(versions->mirror);
    if (meets(versions, true))
        return;
    loop_arm(versions->loop, &versions->again, LIMIT_KUBE_COVER_MS);
    if (is_told && loop_now_ms(versions->loop) - versions->claimed_ms >= LIMIT_KUBE_BACK_MS)
        versions->events->on_gone_back(versions->owner, versions->claim.epoch);
}

struct versions *versions_new(struct loop *loop, struct mirror *mirror,
                              const struct versions_events *events, void *owner)
{
    struct versions *versions = memory_new(struct versions);
    versions->loop = loop;
    versions->mirror = mirror;
    versions->events = events;
    versions->owner = owner;
    timer_init(&versions->again, versions, look);
    return versions;
}

void versions_free(struct versions *versions)
{
    if (versions == NULL)
        return;
    loop_disarm(versions->loop, &versions->again);
    free(versions);
}

void versions_epoch(struct versions *versions, uint64_t epoch)
{
    if (epoch == 0 || epoch == versions->epoch || epoch == versions->next_epoch)
        return;
    if (versions->epoch == 0) {
        versions->epoch = epoch;
        versions->events->on_raised(versions->owner);
        return;
    }
    log_warn("the API server's state was set back: a new epoch begins",
             log_int("epoch", (int64_t)epoch), log_int("before", (int64_t)versions->epoch));
    versions->next_epoch = epoch;
    versions->events->on_set_back(versions->owner);
    mirror_relist(versions->mirror);
}

static void claim(struct versions *versions, const struct snapshot_version *held, bool is_refused)
{
    if (versions->epoch == 0 || held->epoch < versions->epoch)
        return;
    versions->is_refused |= is_refused;
    if (!versions->has_claim || held->epoch > versions->claim.epoch) {
        if (!versions->has_claim)
            versions->claimed_ms = loop_now_ms(versions->loop);
        versions->claim = *held;
        versions->has_claim = true;
    } else if (held->epoch == versions->claim.epoch) {
        raise_to(&versions->claim, held);
    }
    if (!timer_is_armed(&versions->again))
        look(versions);
}

void versions_claimed(struct versions *versions, const struct snapshot_version *held)
{
    claim(versions, held, false);
}

void versions_refused(struct versions *versions, const struct snapshot_version *held)
{
    claim(versions, held, true);
}

void versions_listed(struct versions *versions)
{
    if (versions->next_epoch != 0 && !mirror_is_asking(versions->mirror)) {
        versions->epoch = versions->next_epoch;
        versions->next_epoch = 0;
        versions->events->on_raised(versions->owner);
    }
    (void)meets(versions, false);
}

bool versions_are_known(const struct versions *versions)
{
    return versions->epoch != 0 && mirror_is_whole(versions->mirror);
}

void versions_get(const struct versions *versions, struct snapshot_version *ret_label,
                  struct snapshot_version *ret_seen)
{
    mirror_versions(versions->mirror, ret_label, ret_seen);
    ret_label->epoch = ret_seen->epoch = versions->epoch;
}

const struct snapshot_version *versions_claim(const struct versions *versions)
{
    return versions->has_claim ? &versions->claim : NULL;
}
