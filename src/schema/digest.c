/* The digest of a whole snapshot, from those of its types. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "schema/digest.h"

#include <stdlib.h>

#include "base/builder.h"

static int by_name(const void *left, const void *right)
{
    const struct schema_type_digest *a = left, *b = right;
    return text_compare(a->type, b->type);
}

static void add_u64(struct builder *out, uint64_t value)
{
    char *at = builder_reserve(out, 8);
    for (unsigned i = 0; i < 8; i++)
        at[i] = (char)(value >> (8 * i) & 0xff);
    out->len += 8;
}

struct digest schema_digest_snapshot(struct schema_type_digest *types, size_t count)
{
    CLEANUP(builder_fini) struct builder out = {0};
    qsort(types, count, sizeof(*types), by_name);
    for (size_t i = 0; i < count; i++) {
        if (types[i].count == 0)
            continue;
        builder_add(&out, types[i].type);
        builder_add_char(&out, '\0');
        add_u64(&out, types[i].count);
        add_u64(&out, types[i].digest.high);
        add_u64(&out, types[i].digest.low);
    }
    return hash_digest(builder_text(&out));
}
