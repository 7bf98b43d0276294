/* Two data planes of which one cannot run what the other does: whether it stays, and who is asked
 * again when. The loop's clock jumps where it would be waited for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "event/io.h"
#include "plane.h"

struct scene {
    struct io *kernel;
    struct loop *loop;
    struct control control;
    struct plane able, unable; /* the second dislikes the route "r" */
};

static uint64_t ahead_ns;

static uint64_t now_ns(void *state)
{
    (void)state;
    return clock_monotonic_ns() + ahead_ns;
}

static void their_time_is_over(void)
{
    ahead_ns += LIMIT_XDS_RETURN_MS * 1000000ull;
}

static void scene_start(struct scene *scene)
{
    *scene = (struct scene){
        .kernel = io_kernel_new(),
        .able = {.node = "able"},
        .unable = {.node = "unable", .dislikes = "r", .dislikes_now = true},
    };
    assert_non_null(scene->kernel);
    scene->kernel->now_ns = now_ns;
    scene->loop = loop_new(scene->kernel);
    control_start(&scene->control, scene->loop, NULL);
}

static void scene_stop(struct scene *scene)
{
    control_stop(&scene->control);
    loop_free(scene->loop);
    io_kernel_free(scene->kernel);
}

static void join(struct scene *scene, struct plane *plane)
{
    plane_start(plane, scene->loop, &scene->control.address);
}

static bool stays(const struct scene *scene)
{
    return delta_server_runs(scene->control.delta, RESOURCE_ROUTE, TEXT("r"));
}

static void what_nobody_runs_does_not_stay(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    control_put(&scene.control, 1, RESOURCE_ROUTE, "r", "1");
    assert_false(stays(&scene));
    join(&scene, &scene.unable);
    WAIT_FOR(scene.loop, scene.control.nacks == 1);
    assert_false(stays(&scene));
    plane_stop(&scene.unable);
    assert_false(stays(&scene)); /* one that comes back from a refusal brings nothing */
    scene_stop(&scene);
}

static void what_one_runs_stays_although_another_cannot(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    control_put(&scene.control, 1, RESOURCE_ROUTE, "r", "1");
    join(&scene, &scene.able);
    WAIT_FOR(scene.loop, scene.control.acks == 1);
    join(&scene, &scene.unable);
    WAIT_FOR(scene.loop, scene.control.nacks == 1);
    assert_true(stays(&scene));
    their_time_is_over();
    settle(scene.loop);
    assert_true(stays(&scene));
    assert_int_equal(scene.control.nacks, 1); /* nobody left: it is not asked again */
    plane_stop(&scene.able);
    plane_stop(&scene.unable);
    scene_stop(&scene);
}

static void who_refused_is_asked_again_at_once_when_the_running_one_leaves(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    control_put(&scene.control, 1, RESOURCE_ROUTE, "r", "1");
    join(&scene, &scene.able);
    WAIT_FOR(scene.loop, scene.control.acks == 1);
    join(&scene, &scene.unable);
    WAIT_FOR(scene.loop, scene.control.nacks == 1);
    scene.unable.dislikes = NULL; /* the port is free */
    plane_stop(&scene.able);
    WAIT_FOR(scene.loop, scene.control.acks == 2);
    assert_int_equal(plane_holds(&scene.unable), 1);
    assert_true(stays(&scene));
    plane_stop(&scene.unable);
    scene_stop(&scene);
}

static void what_ran_stays_until_the_one_that_left_has_had_its_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    control_put(&scene.control, 1, RESOURCE_ROUTE, "r", "1");
    join(&scene, &scene.able);
    WAIT_FOR(scene.loop, scene.control.acks == 1);
    join(&scene, &scene.unable);
    WAIT_FOR(scene.loop, scene.control.nacks == 1);
    plane_stop(&scene.able);
    WAIT_FOR(scene.loop, scene.control.nacks == 2);
    assert_true(stays(&scene));
    their_time_is_over();
    WAIT_FOR(scene.loop, scene.control.nacks == 3); /* now it counts */
    assert_false(stays(&scene));
    plane_stop(&scene.unable);
    scene_stop(&scene);
}

static bool if_named_after(void *owner, const struct delta_node *node, enum resource_type type,
                           struct text name)
{
    (void)owner;
    (void)type;
    return text_is(name, node->id) || !text_is(name, "unable");
}

static void only_who_sees_a_resource_counts(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    control_stop(&scene.control);
    scene.control = (struct control){.visible = if_named_after};
    control_start(&scene.control, scene.loop, NULL);
    scene.unable.dislikes = "unable";
    control_put(&scene.control, 1, RESOURCE_ROUTE, "r", "1");
    control_put(&scene.control, 2, RESOURCE_ROUTE, "unable", "1");
    join(&scene, &scene.able);
    WAIT_FOR(scene.loop, scene.control.acks == 1);
    join(&scene, &scene.unable);
    WAIT_FOR(scene.loop, scene.control.nacks == 1);
    assert_true(stays(&scene));
    assert_false(delta_server_runs(scene.control.delta, RESOURCE_ROUTE, TEXT("unable")));
    plane_stop(&scene.unable);
    plane_stop(&scene.able);
    assert_true(stays(&scene)); /* it may come back */
    assert_false(delta_server_runs(scene.control.delta, RESOURCE_ROUTE, TEXT("unable")));
    scene_stop(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_runs_does_not_stay),
        cmocka_unit_test(what_one_runs_stays_although_another_cannot),
        cmocka_unit_test(who_refused_is_asked_again_at_once_when_the_running_one_leaves),
        cmocka_unit_test(what_ran_stays_until_the_one_that_left_has_had_its_time),
        cmocka_unit_test(only_who_sees_a_resource_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
