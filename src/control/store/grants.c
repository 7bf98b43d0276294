/* ReferenceGrants: the target's namespace says who may refer to what in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/grants.h"

#include "control/kind/reference_grant.h"

static bool is_from(const struct kind_reference_grant *grant,
                    const struct grants_reference *reference)
{
    for (size_t i = 0; i < grant->from_count; i++) {
        const struct kind_grant_from *from = &grant->from[i];
        if (text_is(from->group, kind_group(reference->from)) &&
            text_is(from->kind, kind_name(reference->from)) &&
            text_equal(from->namespace, reference->from_namespace))
            return true;
    }
    return false;
}

static bool is_to(const struct kind_reference_grant *grant,
                  const struct grants_reference *reference)
{
    for (size_t i = 0; i < grant->to_count; i++) {
        const struct kind_grant_to *to = &grant->to[i];
        if (text_equal(to->group, reference->group) && text_equal(to->kind, reference->kind) &&
            (to->name.len == 0 || text_equal(to->name, reference->name)))
            return true;
    }
    return false;
}

bool grants_permit(struct store *store, const struct grants_reference *reference)
{
    if (text_equal(reference->from_namespace, reference->namespace))
        return true;
    struct store_list grants =
        store_list_namespace(store, KIND_REFERENCE_GRANT, reference->namespace);
    for (size_t i = 0; i < grants.count; i++) {
        const struct kind_reference_grant *grant = grants.items[i]->reference_grant;
        if (is_from(grant, reference) && is_to(grant, reference))
            return true;
    }
    return false;
}
