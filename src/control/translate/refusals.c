/* What data planes refused, by resource and digest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/outcome_internal.h"

struct text outcome_refusal_key(struct arena *arena, enum resource_type type, struct text name)
{
    return arena_printf(arena, "%s " TEXT_FMT, types_name(type), TEXT_ARG(name));
}

struct text outcome_refusal(const struct outcome *outcome, enum resource_type type,
                            struct text name, struct digest digest)
{
    if (outcome->refusals.count == 0)
        return TEXT_NONE;
    struct arena arena;
    arena_init(&arena, 0);
    const struct refusal_entry *entry =
        map_get(&outcome->refusals, outcome_refusal_key(&arena, type, name));
    arena_fini(&arena);
    return entry != NULL && digest_equal(entry->digest, digest) ? entry->why : TEXT_NONE;
}
