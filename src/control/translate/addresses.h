/* Where a Gateway is reached. In a directory it is bound to what spec.addresses says, or to the
 * default addresses. In a cluster its data planes bind every address they have, and the Gateway's
 * are those of the Service that fronts them: the one whose annotation names the Gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/view.h"

/* Fills in the view's addresses, what is unusable about them, and rejects what cannot be meant. */
void addresses_find(struct translation *t, struct gateway_view *view,
                    const struct kind_object *object);
