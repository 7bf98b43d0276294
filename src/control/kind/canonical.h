/* One byte string for equal contents, whatever the order, the quoting and the comments were. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "base/value.h"

/* JSON with sorted keys, without nulls; whole floats as integers. */
void canonical_add(struct builder *out, const struct value *value);
/* Whether canonical_add would say the same of both, mostly without saying it. */
bool canonical_equal(const struct value *a, const struct value *b);
