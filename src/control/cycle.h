/* store -> translate -> publish: the only place where the three meet. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/files/files.h"
#include "control/kube/kube.h"
#include "control/publish/publish.h"
#include "control/translate/translate.h"

struct cycle {
    struct loop *loop;
    struct store *store;                       /* owns */
    struct files *files;                       /* owns; NULL: a cluster is the source */
    struct kube *kube;                         /* owns; NULL: a directory is the source */
    struct outcome *outcome;                   /* owns; NULL before the first run */
    struct publish *publish;                   /* owns */
    const struct translate_options *translate; /* borrows */
    void (*on_credentials)(void *owner, struct text chain, struct text key, struct text secret);
    void *owner;        /* of on_credentials */
    char *bundle;       /* owns: the release of Gateway API in the cluster; NULL: not known */
    struct defer again; /* a refusal asks for another run, once it is told completely */
    struct timer retry; /* of listeners that the machine of the data plane refused */
    uint32_t retry_ms;  /* until the next; twice as long each time, until files change */
    bool refused;
    bool
        inherits; /* of a cluster: we lead since a moment; what statuses say so far is to be kept */
    uint64_t runs, translated, last_us;
};

struct cycle_options {
    struct loop *loop;
    struct text directory, state_dir;
    struct text kubeconfig, context; /* when there is no directory; may be empty, see kube.h */
    struct text proxy_image;
    uint32_t relist_ms, lease_ms;
    uint16_t xds_port;
    uint32_t certificate_s;
    /* Of a cluster: see kube.h. */
    void (*on_credentials)(void *owner, struct text chain, struct text key, struct text secret);
    void *owner;
    const struct translate_options *translate; /* borrowed for good */
};

/* False: the cluster cannot be reached as it is described; the log says why. */
MUST_USE bool cycle_init(struct cycle *cycle, const struct cycle_options *options);
void cycle_fini(struct cycle *cycle);
/* Loads the directory, runs once, follows it from then on; a cluster is followed at once, and the
 * first run comes when all of it was read. False: errno, and nothing runs. */
MUST_USE bool cycle_start(struct cycle *cycle);
/* Ends the loop; a cluster is told first, for at most LIMIT_LEASE_RELEASE_MS. */
void cycle_stop(struct cycle *cycle);
/* One turn over what changed; costs what changed. */
void cycle_run(struct cycle *cycle);
