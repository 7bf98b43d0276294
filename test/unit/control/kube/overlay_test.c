/* Overlays as kubectl would lay them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/canonical.h"
#include "control/kube/overlay.h"
#include "test.h"

static struct value *parse(struct arena *arena, const char *json)
{
    struct faults faults;
    struct value *value = NULL;
    faults_init(&faults, arena);
    assert_true(value_parse_json(text_of(json), TEXT_NONE, arena, &value, &faults));
    faults_fini(&faults);
    return value;
}

/* What comes out, keys sorted; or the complaint. */
static void expect(const char *kind, const char *object, const char *patch, const char *wanted)
{
    struct arena arena;
    struct builder out = {0};
    arena_init(&arena, 0);
    struct overlay_result result =
        overlay_lay(kind, parse(&arena, object), parse(&arena, patch), &arena);
    if (result.is_deleted)
        builder_add_string(&out, "deleted");
    else if (result.object == NULL)
        builder_add(&out, result.why);
    else
        canonical_add(&out, result.object);
    assert_string_equal(out.data, wanted);
    builder_fini(&out);
    arena_fini(&arena);
}

static void members_meet_and_null_takes_one_away(void **state)
{
    (void)state;
    expect("Deployment", "{\"a\":{\"x\":1,\"y\":2},\"b\":3}",
           "{\"a\":{\"y\":null,\"z\":4},\"c\":5}", "{\"a\":{\"x\":1,\"z\":4},\"b\":3,\"c\":5}");
    expect("Deployment", "{\"a\":{\"x\":1}}", "{\"a\":{\"$patch\":\"replace\",\"y\":2}}",
           "{\"a\":{\"y\":2}}");
    expect("Deployment", "{\"a\":{\"x\":1}}", "{\"a\":{\"$patch\":\"delete\"}}", "{\"a\":{}}");
    expect("Deployment", "{\"a\":{\"x\":1,\"y\":2}}",
           "{\"a\":{\"$retainKeys\":[\"y\",\"z\"],\"z\":3}}", "{\"a\":{\"y\":2,\"z\":3}}");
    expect("Deployment", "{\"a\":[1]}", "{\"a\":{\"b\":{\"c\":null,\"d\":1}}}",
           "{\"a\":{\"b\":{\"d\":1}}}");
}

static void items_meet_by_their_merge_key(void **state)
{
    (void)state;
    expect("Deployment", "{\"containers\":[{\"name\":\"proxy\",\"image\":\"i\"}]}",
           "{\"containers\":[{\"name\":\"side\"},{\"name\":\"proxy\",\"tty\":true}]}",
           "{\"containers\":[{\"image\":\"i\",\"name\":\"proxy\",\"tty\":true},"
           "{\"name\":\"side\"}]}");
    expect("Deployment", "{\"volumes\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}",
           "{\"volumes\":[{\"name\":\"b\",\"$patch\":\"delete\"},"
           "{\"name\":\"no\",\"$patch\":\"delete\"}]}",
           "{\"volumes\":[{\"name\":\"a\"},{\"name\":\"c\"}]}");
    expect("Deployment", "{\"env\":[{\"name\":\"a\"}]}",
           "{\"env\":[{\"$patch\":\"replace\"},{\"name\":\"b\"}]}", "{\"env\":[{\"name\":\"b\"}]}");
    expect("Service", "{\"ports\":[{\"port\":80,\"name\":\"x\"}]}",
           "{\"ports\":[{\"port\":80,\"nodePort\":30080}]}",
           "{\"ports\":[{\"name\":\"x\",\"nodePort\":30080,\"port\":80}]}");
    expect("Deployment", "{\"ports\":[{\"containerPort\":80}]}",
           "{\"ports\":[{\"containerPort\":81}]}",
           "{\"ports\":[{\"containerPort\":80},{\"containerPort\":81}]}");
}

static void other_lists_are_replaced_but_finalizers_join(void **state)
{
    (void)state;
    expect("Deployment", "{\"args\":[\"a\",\"b\"]}", "{\"args\":[\"c\"]}", "{\"args\":[\"c\"]}");
    expect("Deployment", "{\"finalizers\":[\"a\",\"b\"]}", "{\"finalizers\":[\"b\",\"c\"]}",
           "{\"finalizers\":[\"a\",\"b\",\"c\"]}");
    expect("Deployment", "{\"finalizers\":[\"a\",\"b\"]}",
           "{\"$deleteFromPrimitiveList/finalizers\":[\"a\"]}", "{\"finalizers\":[\"b\"]}");
}

static void what_is_no_patch_is_said(void **state)
{
    (void)state;
    expect("Deployment", "{\"spec\":{\"containers\":[]}}", "{\"spec\":{\"containers\":[{}]}}",
           "spec.containers[0] has no name");
    expect("Deployment", "{}", "{\"a\":{\"$patch\":\"mangle\"}}",
           "a.$patch must be merge, replace or delete");
    expect("Deployment", "{}", "{\"$setElementOrder/a\":[]}",
           "$setElementOrder/a is no directive that can be used here");
    expect("PodDisruptionBudget", "{}", "{\"$patch\":\"delete\"}", "deleted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_meet_and_null_takes_one_away),
        cmocka_unit_test(items_meet_by_their_merge_key),
        cmocka_unit_test(other_lists_are_replaced_but_finalizers_join),
        cmocka_unit_test(what_is_no_patch_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
