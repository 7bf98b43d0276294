/* Decodes a text as `nantian check` would, for the tests of this folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/value.h"
#include "control/kind/kind.h"
#include "test.h"

struct read {
    struct arena arena;
    struct faults faults;
    struct kind_objects objects;
    bool parsed;
};

static inline void read_text(struct read *read, struct text text, enum kind_mode mode)
{
    *read = (struct read){0};
    arena_init(&read->arena, 0);
    faults_init(&read->faults, &read->arena);
    struct value_documents documents;
    read->parsed = value_parse_yaml(text, TEXT("a.yaml"), &read->arena, &documents, &read->faults);
    for (size_t i = 0; i < documents.count; i++)
        kind_decode(documents.items[i], TEXT("a.yaml"), mode, &read->objects, &read->faults);
}

static inline void read_fini(struct read *read)
{
    kind_objects_fini(&read->objects);
    faults_fini(&read->faults);
    arena_fini(&read->arena);
}

/* One object without findings. */
static inline const struct kind_object *read_one(struct read *read, const char *text)
{
    read_text(read, text_of(text), KIND_STRICT);
    for (size_t i = 0; i < read->faults.count; i++)
        print_message("%u:%u " TEXT_FMT "\n", read->faults.items[i].line,
                      read->faults.items[i].column, TEXT_ARG(read->faults.items[i].what));
    assert_int_equal(read->faults.count, 0);
    assert_int_equal(read->objects.count, 1);
    assert_int_equal(read->objects.items[0]->error_count, 0);
    return read->objects.items[0];
}

#define assert_text(actual, wanted)                                                                \
    do {                                                                                           \
        struct text actual_ = (actual);                                                            \
        assert_int_equal(actual_.len, strlen(wanted));                                             \
        assert_memory_equal(actual_.len == 0 ? "" : actual_.data, wanted, actual_.len);            \
    } while (0)
