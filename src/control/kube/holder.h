/* Two Gateways of a namespace may come to one name for the objects of their data planes ("web" of
 * the class "a-x", "web-a" of the class "x"): whose they are. Every replica comes to the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/fleet.h"
#include "control/translate/outcome.h"

/* The name of the Gateway that has them: the one that the Service of that name is of, be it gone;
 * if there is no such Service yet, the oldest Gateway of ours that would have it. Empty: nobody's.
 * `outcome` says which Gateways are ours; NULL: all. A view of the store. */
struct text holder_find(struct store *store, const struct outcome *outcome, struct text namespace,
                        struct text object);
/* The path of the fleet that runs as this service account, in `arena`; empty: none does. */
struct text holder_of_account(struct store *store, const struct outcome *outcome,
                              struct text namespace, struct text account, struct arena *arena);
