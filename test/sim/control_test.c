/* The control plane's cycle and two data planes on one simulated kernel: objects come, change and
 * go, streams are cut, either side restarts, the version counter is lost, and data planes refuse
 * what they dislike. In the end every data plane holds what a fresh translation gives, less what is
 * refused; on the way its version never goes back.
 * Real here: the cycle, publishing with its ledger (a file), delta xDS over gRPC, the compiler. Not
 * here: reading a directory, the workers. Arguments: seeds to replay; none: the first 200. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "control/cycle.h"
#include "data/compile/compile.h"
#include "net/listener.h"
#include "schema/digest.h"
#include "sim/io_sim.h"
#include "test.h"
#include "xds/link.h"

enum { SEEDS = 200, STEPS = 60, PLANES = 2, SLOTS = 20, PATIENCE_MS = 600000 };

#define POISON "poison" /* in a resource: data planes refuse it */

struct sim;

struct plane {
    struct sim *sim;
    char name[24];
    struct link *link;
    struct delta_client *client;
    struct compile *compile;
    struct snapshot *snapshot; /* what workers would serve */
    struct snapshot_version version;
    bool has_version;
    uint32_t adopted, refused;
};

struct sim {
    uint64_t seed;
    struct io *io;
    struct loop *loop;
    struct random random;
    struct address address;
    char state_dir[64];
    struct translate_options translate;
    struct kind_object *slots[SLOTS]; /* own; what the user has written now */
    /* the control plane, while it runs */
    struct cycle cycle;
    struct grpc_server *grpc;
    struct listener listener;
    bool is_up;
    struct plane planes[PLANES];
    uint32_t restarts, drops;
};

static uint32_t pick(struct sim *sim, uint32_t count)
{
    return (uint32_t)random_below(&sim->random, count);
}

static void drive(struct sim *sim, uint64_t ms)
{
    uint64_t until = loop_now_ms(sim->loop) + ms;
    do {
        loop_turn(sim->loop, 5);
    } while (loop_now_ms(sim->loop) < until);
}

/* ---- objects ---- */

#define API "apiVersion: gateway.networking.k8s.io/v1\nkind: "

static void write_route(struct sim *sim, uint32_t slot, struct builder *out)
{
    builder_printf(out,
                   API "HTTPRoute\nmetadata: {name: r%u}\nspec:\n  parentRefs: [{name: g%u}]\n",
                   slot, pick(sim, 3));
    builder_printf(out, "  hostnames: [h%u.example]\n  rules:\n", pick(sim, 4));
    uint32_t rules = 1 + pick(sim, 3);
    for (uint32_t i = 0; i < rules; i++)
        builder_printf(out,
                       "  - matches: [{path: {value: /%s%u}}]\n"
                       "    backendRefs: [{name: s%u, port: 80}, {name: s%u, port: 80}]\n",
                       pick(sim, 8) == 0 ? POISON : "p", pick(sim, 5), pick(sim, 5), pick(sim, 5));
}

static void write_object(struct sim *sim, uint32_t slot, struct builder *out)
{
    if (slot < 3)
        builder_printf(out,
                       API "Gateway\nmetadata: {name: g%u}\nspec:\n  gatewayClassName: c\n"
                           "  listeners:\n  - {name: a, port: %u, protocol: HTTP}\n"
                           "  - {name: b, port: %u, protocol: HTTP, hostname: h%u.example}\n",
                       slot, 80 + slot, 90 + slot * 2 + pick(sim, 2), pick(sim, 4));
    else if (slot < 8)
        builder_printf(out,
                       "apiVersion: v1\nkind: Service\nmetadata:\n  name: s%u\n  annotations: "
                       "{gateway.nantian.dev/address: \"10.0.0.%u:%u\"}\n"
                       "spec: {ports: [{port: 80}]}\n",
                       slot - 3, pick(sim, 4), 1000 + pick(sim, 4));
    else
        write_route(sim, slot, out);
}

static struct kind_object *decode(struct text yaml)
{
    struct arena arena;
    struct faults faults;
    struct value_documents documents;
    struct kind_objects objects = {0};
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    assert_true(value_parse_yaml(yaml, TEXT("x.yaml"), &arena, &documents, &faults));
    kind_decode(documents.items[0], TEXT("x.yaml"), KIND_STRICT, &objects, &faults);
    assert_int_equal(faults.count, 0);
    struct kind_object *object = kind_object_ref(objects.items[0]);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
    return object;
}

static void edit(struct sim *sim, uint32_t slot, bool removes)
{
    struct kind_object *before = sim->slots[slot];
    sim->slots[slot] = NULL;
    if (!removes) {
        struct builder yaml = {0};
        write_object(sim, slot, &yaml);
        sim->slots[slot] = decode(builder_text(&yaml));
        builder_fini(&yaml);
        if (sim->is_up)
            store_put(sim->cycle.store, kind_object_ref(sim->slots[slot]), 1);
    } else if (before != NULL && sim->is_up) {
        store_remove(sim->cycle.store,
                     (struct store_key){before->id, before->meta.namespace, before->meta.name});
    }
    kind_object_unref(before);
}

/* ---- the control plane ---- */

static void on_call(void *owner, struct grpc_call *call)
{
    /* publish shows its server to readers alone; the sockets that it opens are the real kernel's */
    const struct delta_server *server = publish_server(((struct sim *)owner)->cycle.publish);
    delta_server_call((struct delta_server *)(uintptr_t)server, call);
}

static const struct grpc_method METHODS[] = {{DELTA_METHOD, on_call}};

static void on_accept(void *owner, int fd, const struct address *peer)
{
    grpc_server_accept(((struct sim *)owner)->grpc, fd, peer, NULL);
}

static void start_control(struct sim *sim)
{
    assert_true(
        cycle_init(&sim->cycle, &(struct cycle_options){.loop = sim->loop,
                                                        .directory = TEXT("unused"),
                                                        .state_dir = text_of(sim->state_dir),
                                                        .translate = &sim->translate}));
    for (uint32_t i = 0; i < SLOTS; i++)
        if (sim->slots[i] != NULL)
            store_put(sim->cycle.store, kind_object_ref(sim->slots[i]), 1);
    cycle_run(&sim->cycle);
    sim->grpc = grpc_server_new(sim->loop, METHODS, 1, NULL, sim);
    sim->listener = (struct listener){.owner = sim, .on_accept = on_accept};
    int fd = io_sim_listen(sim->io, &sim->address.any, sim->address.len);
    assert_true(listener_start(&sim->listener, sim->loop, fd));
    sim->is_up = true;
}

static void stop_control(struct sim *sim)
{
    listener_close(&sim->listener);
    grpc_server_free(sim->grpc);
    loop_settle(sim->loop);
    cycle_fini(&sim->cycle);
    sim->is_up = false;
}

static void lose_ledger(const struct sim *sim)
{
    char path[80];
    snprintf(path, sizeof(path), "%s/version", sim->state_dir);
    unlink(path);
}

/* ---- a data plane ---- */

static bool is_poisoned(struct text bytes)
{
    return memmem(bytes.data, bytes.len, POISON, strlen(POISON)) != NULL;
}

/* What this data plane would refuse is said for all of it, as the compiler does. */
static bool dislikes(const struct resource_edits *edits, struct faults *faults)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct resource *after = edits->items[i].after;
        if (after == NULL || !is_poisoned(resource_bytes(after)))
            continue;
        struct arena arena;
        arena_init(&arena, 0);
        struct fault fault = {.code = "Disliked"};
        fault.where =
            arena_printf(&arena, "%s " TEXT_FMT, types_full_name((enum resource_type)after->type),
                         TEXT_ARG(resource_name(after)));
        faults_add(faults, &fault, "tastes bad");
        arena_fini(&arena);
    }
    return faults->count > 0;
}

static enum err compile_edits(struct plane *plane, const struct resource_edits *edits,
                              struct digest digest, struct faults *faults)
{
    struct compile_edit *list = memory_alloc((edits->count + 1) * sizeof(*list));
    size_t count = 0;
    for (size_t i = 0; i < edits->count; i++) {
        const struct resource_edit *one = &edits->items[i];
        const struct resource *either = resource_edit_either(one);
        if (either->type != RESOURCE_SNAPSHOT)
            list[count++] = (struct compile_edit){
                .type = (enum resource_type)either->type,
                .name = resource_name(either),
                .bytes = one->after == NULL ? TEXT_NONE : resource_bytes(one->after),
                .removed = one->after == NULL};
    }
    struct snapshot *made = NULL;
    enum err err = compile_apply(plane->compile, list, count, TEXT("v"), digest, &made, faults);
    free(list);
    if (err == ERR_NONE) {
        snapshot_unref(plane->snapshot);
        plane->snapshot = made;
    }
    return err;
}

static void move_on(struct plane *plane, const struct snapshot_version *version)
{
    if (plane->has_version) {
        enum version_order order = version_compare(version, &plane->version);
        if (order != VERSION_NEWER && order != VERSION_EQUAL)
            fail_msg("seed %llu: a version went back", (unsigned long long)plane->sim->seed);
    }
    plane->version = *version;
    plane->has_version = true;
}

static enum err on_snapshot(void *owner, const struct delta_offer *offer, struct faults *faults)
{
    struct plane *plane = owner;
    if (dislikes(offer->edits, faults)) {
        plane->refused++;
        return ERR_INVALID;
    }
    enum err err = compile_edits(plane, offer->edits, offer->digest, faults);
    if (err != ERR_NONE) /* what control planes send compiles, or translation has a bug */
        fail_msg("seed %llu: " TEXT_FMT ": " TEXT_FMT, (unsigned long long)plane->sim->seed,
                 TEXT_ARG(faults->items[0].where), TEXT_ARG(faults->items[0].what));
    plane->adopted++;
    move_on(plane, offer->version);
    return ERR_NONE;
}

static void on_same(void *owner, const struct snapshot_version *version)
{
    move_on(owner, version);
}

static const struct delta_client_events EVENTS = {.on_snapshot = on_snapshot, .on_same = on_same};

static void start_plane(struct plane *plane, const struct resource_set *disk)
{
    static const struct text any = {"0.0.0.0", 7};
    struct sim *sim = plane->sim;
    plane->link =
        link_new(&(struct link_options){.loop = sim->loop, .addresses = &sim->address, .count = 1});
    plane->compile = compile_new(&(struct compile_options){.addresses = &any, .address_count = 1});
    plane->client = delta_client_new(&(struct delta_client_options){.loop = sim->loop,
                                                                    .link = plane->link,
                                                                    .node = text_of(plane->name),
                                                                    .events = &EVENTS,
                                                                    .owner = plane});
    if (disk != NULL && delta_client_restore(plane->client, disk)) {
        struct resource_set nothing;
        struct resource_edits edits = {0};
        struct arena arena;
        struct faults faults;
        resource_set_init(&nothing);
        arena_init(&arena, 0);
        faults_init(&faults, &arena);
        resource_set_diff(&nothing, disk, &edits);
        assert_int_equal(compile_edits(plane, &edits, (struct digest){0}, &faults), ERR_NONE);
        resource_edits_fini(&edits);
        resource_set_fini(&nothing);
        faults_fini(&faults);
        arena_fini(&arena);
    }
    link_start(plane->link);
}

static void stop_plane(struct plane *plane)
{
    delta_client_free(plane->client);
    link_free(plane->link);
    loop_settle(plane->sim->loop);
    snapshot_unref(plane->snapshot);
    plane->snapshot = NULL;
    compile_free(plane->compile);
}

/* With what the state file would hold, or with nothing. */
static void restart_plane(struct plane *plane, bool keeps)
{
    struct resource_set disk;
    resource_set_init(&disk);
    resource_set_copy(&disk, delta_client_accepted(plane->client));
    stop_plane(plane);
    plane->has_version = plane->has_version && keeps;
    start_plane(plane, keeps ? &disk : NULL);
    resource_set_fini(&disk);
}

/* ---- what it must come to ---- */

static struct digest digest_of(const struct outcome *outcome)
{
    struct schema_type_digest types[RESOURCE_TYPES];
    size_t count = 0;
    for (int type = 0; type < RESOURCE_TYPES; type++) {
        if (type == RESOURCE_SNAPSHOT)
            continue;
        struct schema_type_digest *one = &types[count++];
        one->type = text_of(types_full_name((enum resource_type)type));
        one->digest = outcome_digest(outcome, (enum resource_type)type, &one->count);
    }
    return schema_digest_snapshot(types, count);
}

/* Of a fresh translation, the poisoned resources refused. */
static struct digest expected(struct sim *sim)
{
    struct store *store = store_new();
    for (uint32_t i = 0; i < SLOTS; i++)
        if (sim->slots[i] != NULL)
            store_put(store, kind_object_ref(sim->slots[i]), 1);
    struct outcome *outcome = translate(store, &sim->translate);
    for (bool again = true; again;) {
        const struct outcome_edits *edits = outcome_edits(outcome);
        again = false;
        for (size_t i = 0; i < edits->resource_count; i++)
            if (edits->resources[i].bytes.data != NULL && is_poisoned(edits->resources[i].bytes))
                again |= outcome_refuse(outcome, edits->resources[i].type, edits->resources[i].name,
                                        TEXT("tastes bad"), NULL);
        store_changes_clear(store);
        struct store_changes none = store_changes(store);
        if (again)
            (void)translate_apply(outcome, store, &none);
    }
    struct digest digest = digest_of(outcome);
    outcome_free(outcome);
    store_free(store);
    return digest;
}

static bool holds(const struct plane *plane, struct digest want)
{
    const struct resource_set *set = delta_client_accepted(plane->client);
    return digest_equal(resource_sums_digest(&set->sums), want) && plane->snapshot != NULL &&
           delta_client_connected(plane->client);
}

static void converge(struct sim *sim)
{
    struct digest want = expected(sim);
    uint64_t until = loop_now_ms(sim->loop) + PATIENCE_MS;
    for (;;) {
        bool all = true;
        for (int i = 0; i < PLANES; i++)
            all = all && holds(&sim->planes[i], want);
        if (all)
            return;
        if (loop_now_ms(sim->loop) > until)
            fail_msg("seed %llu: a data plane never gets there", (unsigned long long)sim->seed);
        drive(sim, 20);
    }
}

/* Everybody holds everything: streams that come back carry no resource. */
static void reconnect_for_nothing(struct sim *sim)
{
    drive(sim, 2000);
    const struct delta_counters *counters =
        delta_server_counters(publish_server(sim->cycle.publish));
    uint64_t resources = counters->resources, removed = counters->removed;
    for (int i = 0; i < PLANES; i++)
        link_restart(sim->planes[i].link, "a test of reconnecting");
    drive(sim, 20000);
    for (int i = 0; i < PLANES; i++)
        assert_true(delta_client_connected(sim->planes[i].client));
    if (counters->resources != resources || counters->removed != removed)
        fail_msg("seed %llu: %llu resources sent for nothing", (unsigned long long)sim->seed,
                 (unsigned long long)(counters->resources - resources));
}

/* ---- a run ---- */

static void faults_on(struct io_sim_options *options, uint64_t seed)
{
    options->delay_us_max = 2000;
    options->short_chance = 200;
    options->again_chance = 100;
    options->reset_chance = seed % 4 == 0 ? 0 : 8;
    options->refuse_chance = 100;
    options->hang_chance = 10;
    options->accept_chance = 10;
}

static void open_sim(struct sim *sim, uint64_t seed)
{
    static const struct text address = {"192.0.2.1", 9};
    const char *base = getenv("TMPDIR");
    struct io_sim_options options = {.seed = seed};
    faults_on(&options, seed);
    *sim = (struct sim){.seed = seed, .io = io_sim_new(&options)};
    random_seed(&sim->random, seed);
    sim->loop = loop_new(sim->io);
    snprintf(sim->state_dir, sizeof(sim->state_dir), "%.40s/nantian-XXXXXX",
             base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(sim->state_dir));
    assert_true(address_parse_endpoint(TEXT("192.0.2.9:18000"), &sim->address));
    sim->translate =
        (struct translate_options){.standalone = true, .addresses = &address, .address_count = 1};
    for (uint32_t i = 0; i < SLOTS; i++)
        edit(sim, i, pick(sim, 4) == 0);
    start_control(sim);
    for (int i = 0; i < PLANES; i++) {
        sim->planes[i].sim = sim;
        snprintf(sim->planes[i].name, sizeof(sim->planes[i].name), "plane-%d", i);
        start_plane(&sim->planes[i], NULL);
    }
}

static void close_sim(struct sim *sim)
{
    for (int i = 0; i < PLANES; i++)
        stop_plane(&sim->planes[i]);
    stop_control(sim);
    drive(sim, 5000);
    if (io_sim_open_sockets(sim->io) != 0)
        fail_msg("seed %llu: %u sockets are left open", (unsigned long long)sim->seed,
                 io_sim_open_sockets(sim->io));
    assert_int_equal(loop_buffers(sim->loop)->lent_bytes, 0);
    loop_free(sim->loop);
    io_sim_free(sim->io);
    for (uint32_t i = 0; i < SLOTS; i++)
        kind_object_unref(sim->slots[i]);
    lose_ledger(sim);
    rmdir(sim->state_dir);
}

static void step(struct sim *sim)
{
    uint32_t what = pick(sim, 100);
    struct plane *plane = &sim->planes[pick(sim, PLANES)];
    if (what < 70) {
        for (uint32_t i = 1 + pick(sim, 3); i > 0; i--)
            edit(sim, pick(sim, SLOTS), pick(sim, 4) == 0);
        cycle_run(&sim->cycle);
    } else if (what < 85) {
        link_restart(plane->link, "cut by the simulation");
        sim->drops++;
    } else if (what < 90) {
        restart_plane(plane, pick(sim, 3) > 0);
    } else if (what < 96) {
        stop_control(sim);
        if (pick(sim, 3) == 0)
            lose_ledger(sim);
        edit(sim, pick(sim, SLOTS), false); /* while nobody looks */
        drive(sim, pick(sim, 3000));
        start_control(sim);
        sim->restarts++;
    } else {
        converge(sim); /* under faults */
    }
    drive(sim, pick(sim, 4) == 0 ? pick(sim, 2000) : pick(sim, 20));
}

static void run_seed(struct sim *sim, uint64_t seed)
{
    open_sim(sim, seed);
    for (int i = 0; i < STEPS; i++)
        step(sim);
    io_sim_set_faults(sim->io, &(struct io_sim_options){.delay_us_max = 500, .short_chance = 100});
    converge(sim);
    reconnect_for_nothing(sim);
    converge(sim);
    if (getenv("SIM_SHOW") != NULL)
        printf("seed %llu: %u adopted, %u refused, %u cut, %u restarts\n", (unsigned long long)seed,
               sim->planes[0].adopted, sim->planes[0].refused, sim->drops, sim->restarts);
    close_sim(sim);
}

/* What the test gets: seeds to replay, and the run under way, whose seed is told at the end. */
struct runs {
    char *const *seeds;
    struct sim sim;
};

static int tell_seed(void **state)
{
    struct runs *runs = *state;
    print_message("the last seed was %llu\n", (unsigned long long)runs->sim.seed);
    return 0;
}

static void data_planes_come_to_hold_what_is_written(void **state)
{
    struct runs *runs = *state;
    log_setup("sim", true, (enum log_level)(LOG_ERROR + 1)); /* refusals are the subject */
    for (uint64_t seed = 1; runs->seeds[0] == NULL && seed <= SEEDS; seed++)
        run_seed(&runs->sim, seed);
    for (size_t i = 0; runs->seeds[i] != NULL; i++) {
        uint64_t seed = 0;
        assert_true(text_to_u64(text_of(runs->seeds[i]), &seed));
        run_seed(&runs->sim, seed);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    static struct runs runs;
    runs.seeds = argv + 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate_setup_teardown(data_planes_come_to_hold_what_is_written, NULL,
                                                 tell_seed, &runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
