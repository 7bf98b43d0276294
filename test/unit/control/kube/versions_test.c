/* When the store is called something higher, and when that is told. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/kube/versions.h"
#include "test.h"

struct world {
    struct loop *loop;
    struct store *store;
    struct kube_config config;
    struct client *client;
    struct mirror *mirror;
    struct versions *versions;
    int raised, set_back;
};

static void on_set_back(void *owner)
{
    ((struct world *)owner)->set_back++;
}

static void on_raised(void *owner)
{
    ((struct world *)owner)->raised++;
}

static void on_gone_back(void *owner, uint64_t epoch)
{
    (void)owner;
    (void)epoch;
    fail_msg("nothing went back");
}

static void on_change(void *owner)
{
    (void)owner;
}

/* A mirror that was never started: it has seen nothing, of any kind. */
static struct world *begin(void)
{
    static const struct versions_events EVENTS = {on_set_back, on_raised, on_gone_back};
    static const struct mirror_events MIRROR_EVENTS = {.on_change = on_change};
    struct world *world = memory_new(struct world);
    const char *why = NULL;
    world->loop = loop_new(NULL);
    world->store = store_new();
    arena_init(&world->config.arena, 0);
    world->client = client_new(world->loop, &world->config, 3000, &why);
    assert_non_null(world->client);
    world->mirror = mirror_new(&(struct mirror_options){.loop = world->loop,
                                                        .client = world->client,
                                                        .store = world->store,
                                                        .events = &MIRROR_EVENTS,
                                                        .owner = world});
    world->versions = versions_new(world->loop, world->mirror, &EVENTS, world);
    return world;
}

static void end(struct world *world)
{
    versions_free(world->versions);
    mirror_free(world->mirror);
    client_free(world->client);
    store_free(world->store);
    kube_config_fini(&world->config);
    loop_free(world->loop);
    free(world);
}

static void a_claim_that_we_are_up_to_already_is_no_news(void **unused)
{
    (void)unused;
    struct world *world = begin();
    versions_epoch(world->versions, 7);
    assert_int_equal(world->raised, 1);
    struct snapshot_version held = {.epoch = 7};
    for (int i = 0; i < 3; i++) /* as a replica's word is told again with each run */
        versions_claimed(world->versions, &held);
    assert_null(versions_claim(world->versions));
    assert_int_equal(world->raised, 1);
    versions_refused(world->versions, &held); /* of what was offered before we came up to it */
    assert_int_equal(world->raised, 2);
    end(world);
}

static void a_later_epoch_sets_all_of_it_back_and_counts_only_after_new_lists(void **unused)
{
    (void)unused;
    struct world *world = begin();
    struct snapshot_version label, seen;
    versions_epoch(world->versions, 7);
    assert_int_equal(world->set_back, 0);
    versions_epoch(world->versions, 8);
    versions_epoch(world->versions, 8);
    versions_listed(world->versions); /* of one kind, and others are still asked for */
    assert_int_equal(world->set_back, 1);
    assert_int_equal(world->raised, 1);
    versions_get(world->versions, &label, &seen);
    assert_int_equal(label.epoch, 7);
    end(world);
}

static void a_refusal_in_the_name_of_an_earlier_epoch_is_no_news(void **unused)
{
    (void)unused;
    struct world *world = begin();
    struct snapshot_version held = {.epoch = 6}, ours = {.epoch = 7};
    versions_refused(world->versions, &ours); /* nothing has a name yet */
    versions_epoch(world->versions, 7);
    versions_refused(world->versions, &held); /* who holds that takes what we have */
    assert_int_equal(world->raised, 1);
    versions_claimed(world->versions, &ours);
    assert_int_equal(world->raised, 1);
    versions_refused(world->versions, &ours);
    assert_int_equal(world->raised, 2);
    versions_claimed(world->versions, &ours);
    assert_int_equal(world->raised, 2);
    end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_that_we_are_up_to_already_is_no_news),
        cmocka_unit_test(a_refusal_in_the_name_of_an_earlier_epoch_is_no_news),
        cmocka_unit_test(a_later_epoch_sets_all_of_it_back_and_counts_only_after_new_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
