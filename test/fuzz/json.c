/* Fuzz: JSON into values and back: what was read is written as something that reads the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "fuzz.h"

/* Reads `input`; on success appends it to `out` as JSON. */
static bool read_and_write(struct text input, struct arena *arena, struct builder *out, int indent)
{
    struct faults faults;
    struct value *value = NULL;
    struct json json;
    faults_init(&faults, arena);
    bool ok = value_parse_json(input, TEXT("f"), arena, &value, &faults);
    CHECK(ok == (faults.count == 0));
    CHECK(ok == (value != NULL));
    if (ok) {
        CHECK(value->line > 0 && value->column > 0);
        json_init(&json, out, indent);
        json_value(&json, NULL, value);
    } else {
        CHECK(faults.items[0].line > 0 && faults.items[0].column > 0);
    }
    faults_fini(&faults);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct builder first CLEANUP(builder_fini) = {0}, second CLEANUP(builder_fini) = {0};
    struct builder pretty CLEANUP(builder_fini) = {0};
    arena_init(&arena, 0);
    if (read_and_write(text_from((const char *)data, size), &arena, &first, 0)) {
        CHECK(read_and_write(builder_text(&first), &arena, &pretty, 2));
        CHECK(read_and_write(builder_text(&pretty), &arena, &second, 0));
        CHECK(text_equal(builder_text(&first), builder_text(&second)));
    }
    struct builder escaped CLEANUP(builder_fini) = {0}; /* any bytes make a valid string */
    builder_add_char(&escaped, '"');
    json_escape(&escaped, text_from((const char *)data, size));
    builder_add_char(&escaped, '"');
    builder_clear(&second);
    CHECK(read_and_write(builder_text(&escaped), &arena, &second, 0));
    CHECK(text_equal(builder_text(&escaped), builder_text(&second)));
    arena_fini(&arena);
    return 0;
}
