/* YAML as Kubernetes reads it: scalars, positions, anchors, merges, bounds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/value.h"
#include "test.h"

struct parsed {
    struct arena arena;
    struct faults faults;
    struct value_documents documents;
    bool ok;
};

static struct value *parse(struct parsed *parsed, struct text text)
{
    *parsed = (struct parsed){0};
    arena_init(&parsed->arena, 0);
    faults_init(&parsed->faults, &parsed->arena);
    parsed->ok =
        value_parse_yaml(text, TEXT("f"), &parsed->arena, &parsed->documents, &parsed->faults);
    return parsed->documents.count == 0 ? NULL : parsed->documents.items[0];
}

static void done(struct parsed *parsed)
{
    faults_fini(&parsed->faults);
    arena_fini(&parsed->arena);
}

/* What sigs.k8s.io/yaml 1.4 makes of each. */
static void scalars_are_resolved_as_kubernetes_does(void **state)
{
    (void)state;
    static const struct scalar {
        const char *text;
        enum value_kind kind;
        double number; /* of integers, floats and booleans */
    } table[] = {
        {"y", VALUE_BOOL, 1},
        {"Yes", VALUE_BOOL, 1},
        {"on", VALUE_BOOL, 1},
        {"TRUE", VALUE_BOOL, 1},
        {"n", VALUE_BOOL, 0},
        {"No", VALUE_BOOL, 0},
        {"OFF", VALUE_BOOL, 0},
        {"false", VALUE_BOOL, 0},
        {"tRUE", VALUE_STRING, 0},
        {"yEs", VALUE_STRING, 0},
        {"~", VALUE_NULL, 0},
        {"null", VALUE_NULL, 0},
        {"Null", VALUE_NULL, 0},
        {"nULL", VALUE_STRING, 0},
        {"0", VALUE_INT, 0},
        {"-0", VALUE_INT, 0},
        {"+12", VALUE_INT, 12},
        {"010", VALUE_INT, 8},
        {"0o10", VALUE_INT, 8},
        {"0x1F", VALUE_INT, 31},
        {"-0x10", VALUE_INT, -16},
        {"0b101", VALUE_INT, 5},
        {"1_000", VALUE_INT, 1000},
        {"08", VALUE_FLOAT, 8},
        {"0x", VALUE_STRING, 0},
        {"0xg", VALUE_STRING, 0},
        {"1.5", VALUE_FLOAT, 1.5},
        {"1e3", VALUE_FLOAT, 1000},
        {".5", VALUE_FLOAT, 0.5},
        {"5.", VALUE_FLOAT, 5},
        {"-1.5E-2", VALUE_FLOAT, -0.015},
        {"1e", VALUE_STRING, 0},
        {".", VALUE_STRING, 0},
        {"..5", VALUE_STRING, 0},
        {"1.2.3", VALUE_STRING, 0},
        {"10s", VALUE_STRING, 0},
        {"1:30", VALUE_STRING, 0},
        {"2026-11-23", VALUE_STRING, 0},
        {"2026-11-23T03:04:05Z", VALUE_STRING, 0},
        {"'yes'", VALUE_STRING, 0},
        {"\"5\"", VALUE_STRING, 0},
        {"!!str 5", VALUE_STRING, 0},
        {"!!int '5'", VALUE_INT, 5},
        {"9223372036854775807", VALUE_INT, 9223372036854775807.0},
        {"9223372036854775808", VALUE_FLOAT, 9223372036854775808.0},
        {"-9223372036854775808", VALUE_INT, -9223372036854775808.0},
        {"99999999999999999999", VALUE_FLOAT, 1e20},
        {"1e999", VALUE_STRING, 0},
        {".inf", VALUE_FLOAT, HUGE_VAL},
        {"-.Inf", VALUE_FLOAT, -HUGE_VAL},
        {"infinity", VALUE_STRING, 0},
        {"nan", VALUE_STRING, 0},
        {"-", VALUE_STRING, 0},
        {"+", VALUE_STRING, 0},
        {"1 2", VALUE_STRING, 0},
        {"0.0", VALUE_FLOAT, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct parsed parsed;
        struct builder text CLEANUP(builder_fini) = {0};
        builder_printf(&text, "a: %s\n", table[i].text);
        if (strcmp(table[i].text, "-") == 0)
            builder_clear(&text), builder_add_string(&text, "a: '-'\n");
        const struct value *value = value_get(parse(&parsed, builder_text(&text)), "a");
        assert_non_null(value);
        if (value->kind != table[i].kind)
            fail_msg("%s is %s", table[i].text, value_kind_name(value->kind));
        double got = value->kind == VALUE_INT     ? (double)value->integer
                     : value->kind == VALUE_FLOAT ? value->number
                     : value->kind == VALUE_BOOL  ? value->boolean
                                                  : 0;
        if (got != table[i].number)
            fail_msg("%s is %g", table[i].text, got);
        done(&parsed);
    }
}

static void every_node_knows_its_place(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *root =
        parse(&parsed, TEXT("# c\na: 1\nb:\n  - x\n  -   \xc3\xa4: [1, 2]\n--- \nsecond\n"));
    assert_int_equal(parsed.documents.count, 2);
    assert_int_equal(root->line, 2);
    assert_int_equal(root->map.members[1].line, 3);
    const struct value *list = value_get(root, "b");
    assert_int_equal(list->list.items[0]->line, 4);
    assert_int_equal(list->list.items[0]->column, 5);
    const struct value_member *member = &list->list.items[1]->map.members[0];
    assert_int_equal(member->column, 7);
    assert_int_equal(member->value->column, 10); /* characters, not bytes */
    assert_int_equal(member->value->list.items[1]->column, 14);
    assert_int_equal(parsed.documents.items[1]->line, 7);
    done(&parsed);
}

static void keys_become_text(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *root = parse(&parsed, TEXT("80: a\nyes: b\n1.5: c\n'010': d\n"));
    assert_non_null(value_get(root, "80"));
    assert_non_null(value_get(root, "true"));
    assert_non_null(value_get(root, "1.5"));
    assert_non_null(value_get(root, "010"));
    done(&parsed);
}

static void aliases_stand_for_their_anchor(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *root =
        parse(&parsed, TEXT("a: &x {k: v}\nb: *x\nc: [*x, &z 5, *z]\nd: &x 6\ne: *x\n"));
    assert_true(parsed.ok);
    assert_true(text_is(value_string(value_get(value_get(root, "b"), "k")), "v"));
    assert_int_equal(value_get(root, "c")->list.items[2]->integer, 5);
    assert_int_equal(value_get(root, "e")->integer, 6);
    done(&parsed);
    parse(&parsed, TEXT("a: &x 1\n---\nb: *x\n"));
    assert_false(parsed.ok); /* anchors end with their document */
    assert_int_equal(parsed.documents.count, 1);
    done(&parsed);
}

static void merges_give_way_to_what_is_there(void **state)
{
    (void)state;
    struct parsed parsed;
    const struct value *root = parse(&parsed, TEXT("a: &a {x: 1, w: 1}\nb: &b {w: 2, z: 2}\n"
                                                   "c: {<<: [*a, *b], x: 3}\nd: {'<<': *a}\n"));
    assert_true(parsed.ok);
    const struct value *merged = value_get(root, "c");
    assert_int_equal(value_get(merged, "x")->integer, 3);
    assert_int_equal(value_get(merged, "w")->integer, 1);
    assert_int_equal(value_get(merged, "z")->integer, 2);
    assert_int_equal(merged->map.count, 3);
    assert_non_null(value_get(value_get(root, "d"), "<<"));
    done(&parsed);
}

static void expect_refusal(struct text text, const char *code)
{
    struct parsed parsed;
    parse(&parsed, text);
    assert_false(parsed.ok);
    assert_int_equal(parsed.faults.count, 1);
    assert_string_equal(parsed.faults.items[0].code, code);
    done(&parsed);
}

static void a_bomb_of_aliases_is_refused(void **state)
{
    (void)state;
    struct builder text CLEANUP(builder_fini) = {0};
    builder_add_string(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 20; i++) {
        builder_printf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            builder_printf(&text, "%s*a%d", k == 0 ? "" : ", ", i - 1);
        builder_add_string(&text, "]\n");
    }
    expect_refusal(builder_text(&text), "DocumentTooLarge");

    builder_clear(&text); /* a tower: each level hangs on the one before */
    builder_add_string(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 200; i++)
        builder_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    expect_refusal(builder_text(&text), "DocumentTooLarge");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct builder text CLEANUP(builder_fini) = {0};
    struct parsed parsed;
    for (int i = 0; i < LIMIT_YAML_DEPTH; i++)
        builder_add_char(&text, '[');
    for (int i = 0; i < LIMIT_YAML_DEPTH; i++)
        builder_add_char(&text, ']');
    assert_non_null(parse(&parsed, builder_text(&text)));
    done(&parsed);
    builder_clear(&text);
    for (int i = 0; i < 100000; i++)
        builder_add_char(&text, '[');
    expect_refusal(builder_text(&text), "DocumentTooLarge");
}

static void duplicates_are_found_among_many_keys(void **state)
{
    (void)state;
    struct builder text CLEANUP(builder_fini) = {0};
    for (int i = 0; i < 5000; i++)
        builder_printf(&text, "key%d: %d\n", i, i);
    struct parsed parsed;
    assert_non_null(parse(&parsed, builder_text(&text)));
    assert_true(parsed.ok);
    done(&parsed);
    builder_add_string(&text, "key17: again\n");
    parse(&parsed, builder_text(&text));
    assert_false(parsed.ok);
    assert_int_equal(parsed.faults.items[0].line, 5001);
    assert_true(text_is(parsed.faults.items[0].field, "key17"));
    done(&parsed);
}

static void odd_bytes_are_refused_or_read(void **state)
{
    (void)state;
    struct parsed parsed;
    parse(&parsed, TEXT("a: b\nd: \xc3\xa9\xff\n"));
    assert_int_equal(parsed.faults.items[0].line, 2);
    assert_int_equal(parsed.faults.items[0].column, 5); /* in characters */
    done(&parsed);
    expect_refusal(TEXT("a: \xff\xfe\n"), "YamlSyntax");
    expect_refusal(TEXT("a: b\0c\n"), "YamlSyntax");
    assert_non_null(parse(&parsed, TEXT("\xef\xbb\xbf"
                                        "a: 1\r\nb: 2\r\n"))); /* BOM, CRLF */
    assert_int_equal(value_get(parsed.documents.items[0], "b")->integer, 2);
    done(&parsed);
    assert_null(parse(&parsed, TEXT("")));
    assert_true(parsed.ok);
    done(&parsed);
    assert_int_equal(parse(&parsed, TEXT("---\n---\n"))->kind, VALUE_NULL);
    done(&parsed);
    assert_int_equal(parse(&parsed, TEXT("{\"a\": [1, true, null, \"\\u00e4\"]}"))->kind,
                     VALUE_MAP);
    done(&parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_resolved_as_kubernetes_does),
        cmocka_unit_test(every_node_knows_its_place),
        cmocka_unit_test(keys_become_text),
        cmocka_unit_test(aliases_stand_for_their_anchor),
        cmocka_unit_test(merges_give_way_to_what_is_there),
        cmocka_unit_test(a_bomb_of_aliases_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(duplicates_are_found_among_many_keys),
        cmocka_unit_test(odd_bytes_are_refused_or_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
