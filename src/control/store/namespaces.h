/* Which namespaces may attach: allowedRoutes.namespaces and allowedListeners.namespaces. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

bool namespaces_allow(const struct store *store, const struct kind_namespaces *allowed,
                      struct text own, struct text candidate);
