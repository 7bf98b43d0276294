/* A Gateway's objects with the overlays of its GatewayParameters on them: those of the class first,
 * those of the Gateway on top. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/manifest.h"

/* Replaces what differs, in `arena`. *ret_is_tailored: there was an overlay. Returns why it cannot
 * be, in `arena`: what is named is not there, or an overlay is no good; empty: done. */
struct text tailor_lay(struct store *store, const struct kind_object *gateway, struct arena *arena,
                       struct manifest manifests[KIND_OVERLAYS], bool *ret_is_tailored);
