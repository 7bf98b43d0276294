/* Which other objects an object names. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

/* In the order of the fields, repeats included; kinds that we do not know are left out. The texts
 * are those of the object. */
typedef void (*references_visit)(void *owner, struct store_key key);
void references_each(const struct kind_object *object, references_visit visit, void *owner);
