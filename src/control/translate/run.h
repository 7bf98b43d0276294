/* One run of the driver: what a list of changes reaches, kind by kind. Internal. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/translation.h"

/* Sets of store_keys, by piece_key; all in t.run. */
struct run {
    struct translation t;
    struct map classes, gateways, sets, routes, policies;
    struct map services; /* Services whose backends are to be made again, by path */
    struct map secrets;  /* Secrets and ConfigMaps that changed, by resource name */
    struct map backends; /* namespaces whose policies on Services are to be looked at again */
};

void run_init(struct run *run, struct outcome *outcome, struct store *store);
void run_fini(struct run *run);

/* Marks everything that these changes reach, as far as it can be told before translating. */
void run_reach(struct run *run, const struct store_changes *changes);
/* The same as if every object had just been added. */
/* Every GatewayClass of ours. */
void run_reach_classes(struct run *run);
void run_reach_all(struct run *run);
void run_mark(struct run *run, struct map *set, struct store_key key);
/* Routes that name this Gateway or ListenerSet as a parent. */
void run_mark_routes_of(struct run *run, struct store_key parent);
