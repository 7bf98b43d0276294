/* Regular expressions in linear time that must match the whole text. The door to rure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/text.h"

/* Immutable; may be used by several threads at once. */
struct regex;

/* NULL: refused, with a sentence in *ret_why (in `arena`). Bounded by LIMIT_REGEX_BYTES and
 * LIMIT_REGEX_PROGRAM. */
struct regex *regex_new(struct text pattern, struct arena *arena, struct text *ret_why);
void regex_free(struct regex *regex);
bool regex_matches(const struct regex *regex, struct text text);
/* Could it be used? The same bounds, nothing kept. */
bool regex_check(struct text pattern, struct arena *arena, struct text *ret_why);
