/* Namespaces by All, Same or label. A Namespace that was left out has its name as its only label.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/store/namespaces.h"

#define NAME_LABEL "kubernetes.io/metadata.name"

static bool selector_allows(const struct store *store, const struct kind_selector *selector,
                            struct text name)
{
    if (selector == NULL)
        return false;
    const struct kind_object *object = store_get(store, KIND_NAMESPACE, TEXT_NONE, name);
    struct kind_pairs none = {0};
    const struct kind_pairs *labels = object == NULL ? &none : &object->meta.labels;
    if (kind_pairs_has(labels, TEXT(NAME_LABEL)))
        return kind_selector_matches(selector, labels);
    /* The API server adds this label to every Namespace; files need not have it. */
    struct arena arena;
    arena_init(&arena, 0);
    struct kind_pairs all = {arena_array(&arena, struct kind_pair, labels->count + 1), 0};
    bool is_added = false;
    for (size_t i = 0; i < labels->count; i++) {
        if (!is_added && text_compare(TEXT(NAME_LABEL), labels->items[i].key) < 0) {
            all.items[all.count++] = (struct kind_pair){TEXT(NAME_LABEL), name};
            is_added = true;
        }
        all.items[all.count++] = labels->items[i];
    }
    if (!is_added)
        all.items[all.count++] = (struct kind_pair){TEXT(NAME_LABEL), name};
    bool matches = kind_selector_matches(selector, &all);
    arena_fini(&arena);
    return matches;
}

bool namespaces_allow(const struct store *store, const struct kind_namespaces *allowed,
                      struct text own, struct text candidate)
{
    switch (allowed->from) {
    case KIND_FROM_ALL:
        return true;
    case KIND_FROM_SAME:
        return text_equal(own, candidate);
    case KIND_FROM_SELECTOR:
        return selector_allows(store, allowed->selector, candidate);
    case KIND_FROM_NONE:
    case KIND_FROM_UNKNOWN:
        break;
    }
    return false;
}
