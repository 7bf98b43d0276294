/* golden [--update] FILE.in.yaml...: translates each file and compares with FILE.out.yaml. Each is
 * also fed object by object, in both orders, through translate_apply, which must end the same.
 * A first line "# options: ..." sets: cluster (with no default address), capabilities=all,
 * addresses=A,B, programmed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "control/store/store.h"
#include "control/translate/terms/capability.h"
#include "control/translate/translate.h"

#define NOW 1700000000 /* of objects that bring no creationTimestamp */

struct golden {
    struct arena arena;
    struct text input;
    struct kind_objects objects;
    struct faults faults; /* of decoding */
    struct translate_options options;
    struct text addresses[8];
    bool is_programmed;
};

static struct text read_file(const char *path, struct arena *arena)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return TEXT_NONE;
    struct builder builder = {0};
    size_t got;
    do {
        char *at = builder_reserve(&builder, 65536);
        got = fread(at, 1, 65536, file);
        builder.len += got;
    } while (got > 0);
    fclose(file);
    struct text copy = arena_text(arena, builder_text(&builder));
    builder_fini(&builder);
    return copy;
}

static void read_option(struct golden *golden, struct text option)
{
    if (text_is(option, "cluster")) {
        golden->options.standalone = false;
        golden->options.address_count = 0;
    } else if (text_is(option, "programmed")) {
        golden->is_programmed = true;
    } else if (text_is(option, "capabilities=all")) {
        golden->options.capabilities = CAPABILITY_ALL;
    } else if (text_starts_with(option, TEXT("addresses="))) {
        struct text rest = text_slice(option, 10, option.len), part;
        golden->options.address_count = 0;
        while (golden->options.address_count < 8 && text_split(&rest, ',', &part))
            golden->addresses[golden->options.address_count++] = part;
    } else if (option.len > 0) {
        fprintf(stderr, "unknown option " TEXT_FMT "\n", TEXT_ARG(option));
        exit(2);
    }
}

static void read_options(struct golden *golden)
{
    golden->addresses[0] = TEXT("192.0.2.1");
    golden->options = (struct translate_options){
        .standalone = true, .addresses = golden->addresses, .address_count = 1};
    struct text rest = golden->input, line, part;
    struct text head = TEXT("# options:");
    if (!text_split(&rest, '\n', &line) || !text_starts_with(line, head))
        return;
    line = text_slice(line, head.len, line.len);
    while (text_split(&line, ' ', &part))
        read_option(golden, part);
}

static bool golden_init(struct golden *golden, const char *path)
{
    *golden = (struct golden){0};
    arena_init(&golden->arena, 0);
    faults_init(&golden->faults, &golden->arena);
    golden->input = read_file(path, &golden->arena);
    if (golden->input.len == 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    read_options(golden);
    struct value_documents documents;
    bool is_good = value_parse_yaml(golden->input, TEXT("in.yaml"), &golden->arena, &documents,
                                    &golden->faults);
    for (size_t i = 0; i < documents.count; i++)
        kind_decode(documents.items[i], TEXT("in.yaml"), KIND_STRICT, &golden->objects,
                    &golden->faults);
    if (!is_good)
        fprintf(stderr, "%s: is no YAML\n", path);
    return is_good;
}

static void golden_fini(struct golden *golden)
{
    kind_objects_fini(&golden->objects);
    faults_fini(&golden->faults);
    arena_fini(&golden->arena);
}

static void confirm_all(const struct golden *golden, struct store *store, struct outcome *outcome)
{
    if (!golden->is_programmed)
        return;
    struct store_list gateways = store_list(store, KIND_GATEWAY);
    for (size_t i = 0; i < gateways.count; i++)
        outcome_set_programmed(outcome, gateways.items[i]->meta.namespace,
                               gateways.items[i]->meta.name, outcome_revision(outcome));
    struct store_changes none = {NULL, 0};
    translate_apply(outcome, store, &none);
}

static void print_decode_faults(const struct golden *golden, struct builder *out)
{
    if (golden->faults.count == 0)
        return;
    builder_add_string(out, "--- # decoding\n");
    for (size_t i = 0; i < golden->faults.count; i++) {
        const struct fault *fault = &golden->faults.items[i];
        builder_printf(out, "- \"%u:%u %s " TEXT_FMT ": " TEXT_FMT "\"\n", fault->line,
                       fault->column, fault->code, TEXT_ARG(fault->where), TEXT_ARG(fault->what));
    }
}

static void print(const struct golden *golden, const struct outcome *outcome, struct builder *out)
{
    static const struct {
        const char *head;
        void (*write)(const struct outcome *outcome, struct json *json);
    } PARTS[] = {
        {"--- # resources\n", outcome_resources_json},
        {"--- # statuses\n", outcome_status_json},
        {"--- # faults\n", outcome_faults_json},
    };
    print_decode_faults(golden, out);
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        struct json json;
        builder_add_string(out, PARTS[i].head);
        json_init(&json, out, 2);
        PARTS[i].write(outcome, &json);
        builder_add_char(out, '\n');
    }
}

static void put(struct store *store, const struct golden *golden, size_t i)
{
    (void)store_put(store, kind_object_ref(golden->objects.items[i]), NOW);
}

static void print_whole(const struct golden *golden, struct builder *out)
{
    struct store *store = store_new();
    for (size_t i = 0; i < golden->objects.count; i++)
        put(store, golden, i);
    struct outcome *outcome = translate(store, &golden->options);
    confirm_all(golden, store, outcome);
    print(golden, outcome, out);
    outcome_free(outcome);
    store_free(store);
}

static void apply(struct outcome *outcome, struct store *store)
{
    struct store_changes changes = store_changes(store);
    translate_apply(outcome, store, &changes);
    store_changes_clear(store);
}

/* Everything one by one; and with `is_backwards` each is also taken away and put back. */
static void print_steps(const struct golden *golden, bool is_backwards, struct builder *out)
{
    struct store *store = store_new();
    struct outcome *outcome = translate(store, &golden->options);
    size_t count = golden->objects.count;
    for (size_t i = 0; i < count; i++) {
        put(store, golden, is_backwards ? count - 1 - i : i);
        apply(outcome, store);
    }
    for (size_t i = 0; is_backwards && i < count; i++) {
        const struct kind_object *object = golden->objects.items[i];
        (void)store_remove(
            store, (struct store_key){object->id, object->meta.namespace, object->meta.name});
        apply(outcome, store);
        put(store, golden, i);
        apply(outcome, store);
    }
    confirm_all(golden, store, outcome);
    print(golden, outcome, out);
    outcome_free(outcome);
    store_free(store);
}

static void show_difference(const char *path, const char *what, struct text wanted, struct text got)
{
    struct text a, b;
    unsigned line = 1;
    bool has_a = text_split(&wanted, '\n', &a), has_b = text_split(&got, '\n', &b);
    while (has_a && has_b && text_equal(a, b)) {
        has_a = text_split(&wanted, '\n', &a);
        has_b = text_split(&got, '\n', &b);
        line++;
    }
    printf("%s: %s: line %u\n  wanted: " TEXT_FMT "\n  got:    " TEXT_FMT "\n", path, what, line,
           TEXT_ARG(has_a ? a : TEXT("(the end)")), TEXT_ARG(has_b ? b : TEXT("(the end)")));
}

static bool check(const char *path, const char *what, struct text wanted, struct builder *got)
{
    bool is_same = text_equal(wanted, builder_text(got));
    if (!is_same)
        show_difference(path, what, wanted, builder_text(got));
    builder_clear(got);
    return is_same;
}

static bool write_file(const char *path, struct text text)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return false;
    size_t written = fwrite(text.data, 1, text.len, file);
    return fclose(file) == 0 && written == text.len;
}

static bool run(const char *path, bool is_update)
{
    struct golden golden;
    struct text name = text_of(path), suffix = TEXT(".in.yaml");
    if (!text_ends_with(name, suffix)) {
        fprintf(stderr, "%s: not an .in.yaml\n", path);
        return false;
    }
    bool is_good = golden_init(&golden, path);
    if (is_good) {
        char *out_path =
            arena_string(&golden.arena, arena_printf(&golden.arena, "%.*s.out.yaml",
                                                     (int)(name.len - suffix.len), path));
        struct builder out = {0}, steps = {0};
        print_whole(&golden, &out);
        print_steps(&golden, false, &steps);
        is_good = check(path, "object by object", builder_text(&out), &steps);
        print_steps(&golden, true, &steps);
        is_good = check(path, "backwards, each removed and put back", builder_text(&out), &steps) &&
                  is_good;
        if (is_update)
            is_good = write_file(out_path, builder_text(&out)) && is_good;
        else
            is_good = check(path, "golden", read_file(out_path, &golden.arena), &out) && is_good;
        builder_fini(&out);
        builder_fini(&steps);
    }
    golden_fini(&golden);
    return is_good;
}

int main(int argc, char **argv)
{
    bool is_update = argc > 1 && strcmp(argv[1], "--update") == 0;
    int failed = 0, total = 0;
    for (int i = is_update ? 2 : 1; i < argc; i++) {
        total++;
        if (!run(argv[i], is_update))
            failed++;
    }
    printf("%d golden pairs, %d failed\n", total, failed);
    return failed == 0 && total > 0 ? 0 : 1;
}
