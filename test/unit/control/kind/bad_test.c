/* Every document of bad.txt gives just the findings that stand above it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"
#include "read.h"

#define CASES "test/unit/control/kind/bad.txt"

static struct text load(struct builder *out)
{
    FILE *file = fopen(CASES, "rb");
    assert_non_null(file);
    size_t got;
    do {
        got = fread(builder_reserve(out, 4096), 1, 4096, file);
        out->len += got;
    } while (got > 0);
    fclose(file);
    return builder_text(out);
}

static bool is_head(struct text line)
{
    return text_starts_with(line, TEXT("### "));
}

static void check_case(struct text expected, struct text document)
{
    struct read read;
    struct builder found CLEANUP(builder_fini) = {0};
    read_text(&read, document, KIND_STRICT);
    for (size_t i = 0; i < read.faults.count; i++) {
        const struct fault *fault = &read.faults.items[i];
        assert_true(fault->what.len > 0);
        assert_true(text_is(fault->file, "a.yaml"));
        builder_printf(&found, "### %u:%u %s" TEXT_FMT TEXT_FMT "\n", fault->line, fault->column,
                       fault->code, TEXT_ARG(fault->field.len > 0 ? TEXT(" ") : TEXT("")),
                       TEXT_ARG(fault->field));
    }
    if (!text_equal(builder_text(&found), expected)) {
        print_message("document:\n" TEXT_FMT "\nwanted:\n" TEXT_FMT "\nfound:\n" TEXT_FMT "\n",
                      TEXT_ARG(document), TEXT_ARG(expected), TEXT_ARG(builder_text(&found)));
        fail();
    }
    read_fini(&read);
}

static void each_bad_document_is_found_out_where_it_is_wrong(void **state)
{
    (void)state;
    struct builder file CLEANUP(builder_fini) = {0};
    struct text rest = load(&file), line;
    while (text_split(&rest, '\n', &line) && line.len > 0) /* the note at the top */
        continue;
    const char *head = NULL, *body = NULL, *end = file.data + file.len;
    size_t cases = 0;
    while (text_split(&rest, '\n', &line)) {
        if (!is_head(line)) {
            body = body == NULL && head != NULL ? line.data : body;
            continue;
        }
        if (body != NULL) {
            check_case(text_from(head, (size_t)(body - head)),
                       text_from(body, (size_t)(line.data - body)));
            cases++;
            head = body = NULL;
        }
        head = head == NULL ? line.data : head;
    }
    check_case(text_from(head, (size_t)(body - head)), text_from(body, (size_t)(end - body)));
    assert_true(cases > 270);
}

static void unknown_fields_are_warnings_when_serving(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
                   "spec: {ports: [{port: 80}], prots: []}\n"),
              KIND_LENIENT);
    assert_int_equal(read.faults.count, 1);
    assert_int_equal(read.faults.items[0].level, FAULT_WARNING);
    assert_int_equal(read.objects.count, 1);
    assert_int_equal(read.objects.items[0]->error_count, 0);
    read_fini(&read);
}

static void an_object_with_errors_says_how_many_and_keeps_the_rest(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
                   "spec: {ports: [{port: 0, protocol: X}, {name: b, port: 81}]}\n"),
              KIND_LENIENT);
    assert_int_equal(read.objects.count, 1);
    assert_int_equal(read.objects.items[0]->error_count, 3);
    read_fini(&read);
}

static void a_broken_document_leaves_those_before_it(void **state)
{
    (void)state;
    struct read read;
    read_text(&read,
              TEXT("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\nkind: [\n---\n"
                   "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"),
              KIND_LENIENT);
    assert_false(read.parsed);
    assert_int_equal(read.objects.count, 1);
    assert_int_equal(read.faults.count, 1);
    read_fini(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_document_is_found_out_where_it_is_wrong),
        cmocka_unit_test(unknown_fields_are_warnings_when_serving),
        cmocka_unit_test(an_object_with_errors_says_how_many_and_keeps_the_rest),
        cmocka_unit_test(a_broken_document_leaves_those_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
