/* What the YAML and the JSON door share while they build a tree of values. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/value.h"

/* A growing list of values or members; scratch memory, copied into the arena when complete. */
struct value_build {
    struct value_member *members; /* owns */
    size_t count, cap;
};

void value_build_fini(struct value_build *build);
void value_build_add(struct value_build *build, struct value_member member);
/* Puts the members into `value` as its kind (map or list) wants them. */
void value_build_finish(const struct value_build *build, struct value *value, struct arena *arena);
/* Index of the first member whose key stands before it as well, or count. */
size_t value_build_duplicate(const struct value_build *build);

/* A plain (unquoted) YAML scalar, as sigs.k8s.io/yaml resolves it: YAML 1.1 words and numbers,
 * timestamps stay strings. Sets kind and payload; a string borrows `text`. */
void value_build_scalar(struct value *value, struct text text);
