/* Building and comparing conditions and whole statuses. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "control/translate/terms/status.h"

/* Sets the condition of that type, replacing one that is there. `message` is borrowed. */
void conditions_set(struct conditions *conditions, struct arena *arena, const char *type,
                    enum condition_state state, const char *reason, struct text message);
const struct condition *conditions_get(const struct conditions *conditions, const char *type);
bool conditions_are_true(const struct conditions *conditions, const char *type);
/* Items and messages of `from`, in `arena`. */
struct conditions conditions_copy(const struct conditions *from, struct arena *arena);
bool conditions_equal(const struct conditions *a, const struct conditions *b);
/* Either may be NULL. */
bool conditions_status_equal(const struct object_status *a, const struct object_status *b);
/* {"status": {...}} of one object with its kind and name, as Kubernetes would show it. */
void conditions_status_json(struct json *json, const struct object_status *status);
