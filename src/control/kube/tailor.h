/* A fleet's objects with the overlays of GatewayParameters on them: those of the class first, those
 * of the Gateway whose own they are on top. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/manifest.h"

/* Replaces what differs, in `arena`. *ret_is_tailored: there was an overlay. Returns why it cannot
 * be, in `arena`: what is named is not there, or an overlay is no good; empty: done. */
struct text tailor_lay(struct store *store, const struct fleet *fleet, struct arena *arena,
                       struct manifest manifests[KIND_OVERLAYS], bool *ret_is_tailored);
