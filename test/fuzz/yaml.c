/* Fuzz: YAML into values, values into objects, objects into a store. Whatever comes, every fault
 * has a place inside the input, and an object put twice changes nothing the second time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "base/memory.h"
#include "control/store/store.h"
#include "fuzz.h"

static uint32_t lines_of(struct text input)
{
    uint32_t lines = 2;                    /* the end may stand behind a last line break */
    for (size_t i = 0; i < input.len; i++) /* YAML breaks lines at NEL, LS and PS as well */
        lines += input.data[i] == '\n' || input.data[i] == '\r' || (input.data[i] & 0x80) != 0;
    return lines;
}

static void check_faults(const struct faults *faults, struct text input)
{
    for (size_t i = 0; i < faults->count; i++) {
        CHECK(faults->items[i].what.len > 0);
        CHECK(faults->items[i].line <= lines_of(input));
    }
}

/* A value that is written as JSON reads back as itself (NaN and infinities become null). */
static void check_round_trip(const struct value *value, struct arena *arena)
{
    struct builder first CLEANUP(builder_fini) = {0}, second CLEANUP(builder_fini) = {0};
    struct faults faults;
    struct value *again = NULL;
    struct json json;
    faults_init(&faults, arena);
    json_init(&json, &first, 0);
    json_value(&json, NULL, value);
    bool ok = value_parse_json(builder_text(&first), TEXT("f"), arena, &again, &faults);
    if (ok) { /* invalid bytes may make two keys alike: then it says so */
        json_init(&json, &second, 0);
        json_value(&json, NULL, again);
        CHECK(text_equal(builder_text(&first), builder_text(&second)));
    } else {
        CHECK(faults.count == 1);
    }
    faults_fini(&faults);
}

static void put_all(struct store *store, const struct kind_objects *objects)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < objects->count; i++) {
        struct kind_object *object = objects->items[i];
        struct store_key key = {object->id, object->meta.namespace, object->meta.name};
        store_put(store, kind_object_ref(object), 1);
        CHECK(!store_put(store, kind_object_ref(object), 2));
        CHECK(store_get(store, key.kind, key.namespace, key.name) != NULL);
        struct store_keys names = store_references(store, key, &arena);
        for (size_t k = 0; k < names.count; k++)
            CHECK(store_referrers(store, names.items[k], &arena).count > 0);
    }
    for (int kind = 0; kind < KIND_COUNT; kind++)
        CHECK(store_list(store, (enum kind_id)kind).count ==
              store_count(store, (enum kind_id)kind));
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = text_from((const char *)data, size);
    struct arena arena;
    struct faults faults;
    struct kind_objects objects = {0};
    struct value_documents documents;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    bool ok = value_parse_yaml(input, TEXT("f"), &arena, &documents, &faults);
    CHECK(ok == (faults.count == 0));
    struct store *store = store_new();
    for (size_t i = 0; i < documents.count; i++) {
        kind_decode(documents.items[i], TEXT("f"), KIND_STRICT, &objects, &faults);
        kind_decode(documents.items[i], TEXT("f"), KIND_LENIENT, &objects, &faults);
        if (size < 4096)
            check_round_trip(documents.items[i], &arena);
    }
    check_faults(&faults, input);
    put_all(store, &objects);
    store_free(store);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
    return 0;
}
