/* JSON into values: positions, numbers, duplicates, bounds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/value.h"
#include "test.h"

struct parsed {
    struct arena arena;
    struct faults faults;
    struct value *value;
    bool ok;
};

static const struct value *parse(struct parsed *parsed, struct text text)
{
    *parsed = (struct parsed){0};
    arena_init(&parsed->arena, 0);
    faults_init(&parsed->faults, &parsed->arena);
    parsed->ok = value_parse_json(text, TEXT("f"), &parsed->arena, &parsed->value, &parsed->faults);
    return parsed->value;
}

static void done(struct parsed *parsed)
{
    faults_fini(&parsed->faults);
    arena_fini(&parsed->arena);
}

static void every_node_knows_its_place(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *root = parse(
        &parsed, TEXT("\n{ \"a\\\"b\" : [1,\n  {\"\xc3\xa4\": \"x]}\\\\\", \"c\" :null}, []],\n"
                      "\t\"d\":-1.5e1}"));
    assert_non_null(root);
    assert_int_equal(root->line, 2);
    assert_int_equal(root->column, 1);
    const struct value *list = value_get(root, "a\"b");
    assert_int_equal(root->map.members[0].column, 3);
    assert_int_equal(list->column, 12);
    assert_int_equal(list->list.items[0]->column, 13);
    const struct value *map = list->list.items[1];
    assert_int_equal(map->line, 3);
    assert_int_equal(map->column, 3);
    assert_int_equal(map->map.members[0].value->column, 9);
    assert_int_equal(map->map.members[1].column, 18);
    assert_int_equal(map->map.members[1].value->column, 23);
    assert_int_equal(list->list.items[2]->column, 30);
    assert_int_equal(root->map.members[1].line, 4);
    assert_int_equal(value_get(root, "d")->column, 6);
    done(&parsed);
}

static void numbers_keep_their_kind(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *root =
        parse(&parsed, TEXT("[0, -5, 9223372036854775807, 9223372036854775808, 1.0, 1e2, true]"));
    struct value **items = root->list.items;
    assert_int_equal(items[1]->integer, -5);
    assert_int_equal(items[2]->kind, VALUE_INT);
    assert_int_equal(items[3]->kind, VALUE_FLOAT);
    assert_int_equal(items[4]->kind, VALUE_FLOAT);
    assert_int_equal(items[5]->kind, VALUE_FLOAT);
    assert_true(value_bool(items[6], false));
    done(&parsed);
}

static void strings_may_hold_any_character(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *value = parse(&parsed, TEXT("\"a\\u0000b\\ud83d\\ude00\""));
    assert_int_equal(value->string.len, 7);
    assert_memory_equal(value->string.data, "a\0b\xf0\x9f\x98\x80", 7);
    done(&parsed);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct bad {
        const char *text, *code;
        uint32_t line, column;
    } table[] = {
        {"", "JsonSyntax", 1, 1},
        {"{\"a\": }", "JsonSyntax", 1, 7},
        {"[1,]", "JsonSyntax", 1, 3},
        {"[1]\n x", "JsonSyntax", 2, 2},
        {"[01]", "JsonSyntax", 1, 2},
        {"// c\n1", "JsonSyntax", 1, 1},
        {"[1e999]", "JsonSyntax", 1, 2},
        {"\"\xff\"", "JsonSyntax", 1, 2},
        {"{\"a\":1,\n\"a\":2}", "DuplicateKey", 2, 1},
        {"[NaN]", "JsonSyntax", 1, 2},
        {"{'a':1}", "JsonSyntax", 1, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct parsed parsed;
        parse(&parsed, text_of(table[i].text));
        assert_false(parsed.ok);
        assert_int_equal(parsed.faults.count, 1);
        assert_string_equal(parsed.faults.items[0].code, table[i].code);
        if (parsed.faults.items[0].line != table[i].line ||
            parsed.faults.items[0].column != table[i].column)
            fail_msg("%s: %u:%u", table[i].text, parsed.faults.items[0].line,
                     parsed.faults.items[0].column);
        done(&parsed);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct parsed parsed;
    struct builder text CLEANUP(builder_fini) = {0};
    for (int i = 0; i < 100000; i++)
        builder_add_char(&text, '[');
    for (int i = 0; i < 100000; i++)
        builder_add_char(&text, ']');
    parse(&parsed, builder_text(&text));
    assert_false(parsed.ok);
    assert_string_equal(parsed.faults.items[0].code, "DocumentTooLarge");
    done(&parsed);
}

static void what_is_too_deep_of_a_list_is_pruned(void **state)
{
    (void)state;
    struct arena arena;
    struct faults faults;
    struct value *value = NULL;
    struct builder text CLEANUP(builder_fini) = {0};
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    builder_add_string(&text, "{\"items\": [");
    for (int i = 0; i < 1000; i++)
        builder_add_string(&text, "{\"]\\\"\": [");
    for (int i = 0; i < 1000; i++)
        builder_add_string(&text, i == 0 ? "1]}" : "]}");
    builder_add_string(&text, ", {\"b\":\n2}]}");
    assert_true(value_parse_json_pruned(builder_text(&text), TEXT("f"), &arena, &value, &faults));
    const struct value *items = value_get(value, "items");
    assert_int_equal(items->list.count, 2);
    const struct value *last = value_get(items->list.items[1], "b");
    assert_int_equal(value_int(last, 0), 2);
    assert_int_equal(last->line, 2);
    assert_int_equal(last->column, 1);
    faults_fini(&faults);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_knows_its_place),
        cmocka_unit_test(numbers_keep_their_kind),
        cmocka_unit_test(strings_may_hold_any_character),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(what_is_too_deep_of_a_list_is_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
