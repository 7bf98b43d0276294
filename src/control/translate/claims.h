/* Which Gateway has an address and port: two of them never share listeners that conflict. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/view.h"

/* Settles it among all Gateways of the outcome, the older one first; views whose standing changed
 * become dirty. */
void claims_settle(struct translation *t);
