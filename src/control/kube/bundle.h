/* Which release of Gateway API the cluster has: the annotation on its definitions. Asked for again
 * and again, since somebody may install another one. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"

struct bundle;

/* `version` is "v1.7.0"; empty: the definitions are there and do not say; data NULL: they are not
 * there, or cannot be seen. Told after the first look, whatever came of it, and then when it is
 * another one. */
typedef void (*bundle_told)(void *owner, struct text version);

struct bundle *bundle_new(struct loop *loop, struct client *client, bundle_told on_told,
                          void *owner);
void bundle_free(struct bundle *bundle);
void bundle_start(struct bundle *bundle);
