/* Strategic merge patches: an object with a user's overlay on it, as kubectl and kustomize would
 * lay it. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/value.h"

struct overlay_result {
    struct value *object; /* with views into both; NULL: see the rest */
    bool is_deleted;      /* "$patch: delete": there is to be no such object */
    struct text why;      /* what is wrong with the patch: "spec.ports[0] has no port" */
};

/* Lists whose items have a merge key in Kubernetes' types are merged by it, others are replaced;
 * null deletes; $patch, $retainKeys and $deleteFromPrimitiveList are obeyed. `kind` is that of the
 * object. In `arena`. */
struct overlay_result overlay_lay(const char *kind, struct value *object, struct value *patch,
                                  struct arena *arena);
