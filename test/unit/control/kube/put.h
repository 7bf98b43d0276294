/* Objects of a test into its store, from YAML that must be good. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/kind.h"
#include "control/store/store.h"
#include "test.h"

static inline void put_yaml(struct store *store, struct arena *arena, const char *yaml)
{
    struct faults faults;
    struct value_documents documents;
    struct kind_objects objects = {0};
    faults_init(&faults, arena);
    assert_true(value_parse_yaml(text_of(yaml), TEXT("x.yaml"), arena, &documents, &faults));
    for (size_t i = 0; i < documents.count; i++)
        kind_decode(documents.items[i], TEXT("x.yaml"), KIND_STRICT, &objects, &faults);
    assert_int_equal(objects.count, documents.count);
    for (size_t i = 0; i < objects.count; i++) {
        assert_int_equal(objects.items[i]->error_count, 0);
        (void)store_put(store, kind_object_ref(objects.items[i]), 1);
    }
    kind_objects_fini(&objects);
    faults_fini(&faults);
}
