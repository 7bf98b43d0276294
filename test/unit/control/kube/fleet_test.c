/* Who has which data planes, and what those are called. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/holder.h"
#include "control/kube/manifest.h"
#include "control/kube/put.h"

#define NANTIAN "apiVersion: gateway.nantian.dev/v1alpha1\nkind: GatewayParameters\nmetadata: "
#define GATEWAY "apiVersion: gateway.networking.k8s.io/v1\nkind: "

struct world {
    struct store *store;
    struct arena arena;
};

static void put(struct world *world, const char *yaml)
{
    put_yaml(world->store, &world->arena, yaml);
}

static int setup(void **state)
{
    static struct world world;
    world = (struct world){.store = store_new()};
    arena_init(&world.arena, 0);
    put(&world, GATEWAY "GatewayClass\nmetadata: {name: small.example, uid: u}\nspec:\n"
                        "  controllerName: nantian.dev/gateway-controller\n"
                        "  parametersRef: {group: gateway.nantian.dev, kind: GatewayParameters, "
                        "namespace: edge, name: small}\n"
                        "---\n" NANTIAN "{name: small, namespace: edge}\nspec: {fleet: Shared}\n");
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    store_free(world->store);
    arena_fini(&world->arena);
    return 0;
}

static const struct kind_object *class_of(struct world *world)
{
    return store_get(world->store, KIND_GATEWAY_CLASS, TEXT_NONE, TEXT("small.example"));
}

static const struct kind_object *put_gateway(struct world *world, const char *namespace,
                                             const char *name, const char *listeners)
{
    put(world, arena_printf(&world->arena,
                            GATEWAY "Gateway\nmetadata: {name: %s, namespace: %s, uid: g}\nspec:\n"
                                    "  gatewayClassName: small.example\n  listeners: [%s]\n",
                            name, namespace, listeners)
                   .data);
    return store_get(world->store, KIND_GATEWAY, text_of(namespace), text_of(name));
}

static void the_fleet_of_a_class_stands_where_its_parameters_do(void **state)
{
    struct world *world = *state;
    struct fleet fleet;
    assert_true(fleet_of_class(world->store, class_of(world), &world->arena, &fleet));
    assert_true(text_is(fleet.path, "/small.example"));
    assert_true(text_is(fleet.namespace, "edge"));
    assert_true(text_starts_with(fleet.name, TEXT("fleet-small-example-")));
    assert_int_equal(fleet.name.len, strlen("fleet-small-example-") + 8);
    put(world, NANTIAN "{name: small, namespace: edge}\nspec: {}\n");
    assert_false(fleet_of_class(world->store, class_of(world), &world->arena, &fleet));
}

static void parameters_that_are_away_leave_what_stands(void **state)
{
    struct world *world = *state;
    struct fleet fleet;
    struct store_key key = {KIND_GATEWAY_PARAMETERS, TEXT("edge"), TEXT("small")};
    (void)store_remove(world->store, key);
    assert_false(fleet_of_class(world->store, class_of(world), &world->arena, &fleet));
    put(world,
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: other, annotations: "
        "{gateway.nantian.dev/gateway-class: small.example}}\nspec: {ports: [{port: 80}]}\n");
    assert_false(fleet_of_class(world->store, class_of(world), &world->arena, &fleet));
    put(world,
        "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: edge, annotations: "
        "{gateway.nantian.dev/gateway-class: small.example}}\nspec: {ports: [{port: 80}]}\n");
    assert_true(fleet_of_class(world->store, class_of(world), &world->arena, &fleet));
    assert_true(text_is(fleet.namespace, "edge"));
}

static void an_account_is_of_one_fleet_in_one_namespace(void **state)
{
    struct world *world = *state;
    struct arena *arena = &world->arena;
    struct fleet fleet;
    const struct kind_object *web =
        put_gateway(world, "default", "web", "{name: http, port: 80, protocol: HTTP}");
    assert_true(fleet_of_class(world->store, class_of(world), arena, &fleet));
    assert_true(text_is(holder_of_account(world->store, NULL, TEXT("edge"), fleet.name, arena),
                        "/small.example"));
    assert_int_equal(holder_of_account(world->store, NULL, TEXT("default"), fleet.name, arena).len,
                     0);
    struct fleet own = fleet_of_gateway(web, arena);
    assert_true(text_is(holder_of_account(world->store, NULL, TEXT("default"), own.name, arena),
                        "default/web"));
    assert_int_equal(holder_of_account(world->store, NULL, TEXT("edge"), own.name, arena).len, 0);
    assert_int_equal(
        holder_of_account(world->store, NULL, TEXT("edge"), TEXT("default"), arena).len, 0);
}

static bool says(struct text json, const char *words)
{
    return memmem(json.data, json.len, words, strlen(words)) != NULL;
}

static void its_objects_have_the_ports_of_all_and_belong_to_the_class(void **state)
{
    struct world *world = *state;
    static const struct manifest_options options = {.image = {"proxy", 5}};
    struct manifest manifests[KIND_OVERLAYS];
    struct fleet fleet;
    assert_true(fleet_of_class(world->store, class_of(world), &world->arena, &fleet));
    assert_false(manifest_make(&options, world->store, &fleet, &world->arena, manifests));
    fleet.gateways = arena_array(&world->arena, const struct kind_object *, 2);
    fleet.gateway_count = 2;
    fleet.gateways[0] = put_gateway(world, "a", "one", "{name: x, port: 80, protocol: HTTP}");
    fleet.gateways[1] =
        put_gateway(world, "b", "two",
                    "{name: x, port: 80, protocol: HTTP}, {name: dns, port: 53, protocol: UDP}");
    assert_true(manifest_make(&options, world->store, &fleet, &world->arena, manifests));
    struct text service = manifests[KIND_OVERLAY_SERVICE].json;
    assert_true(says(service, "\"ports\":[{\"name\":\"udp-53\",\"protocol\":\"UDP\",\"port\":53,"
                              "\"targetPort\":53},{\"name\":\"tcp-80\",\"protocol\":\"TCP\","
                              "\"port\":80,\"targetPort\":80}]"));
    assert_true(says(service, "\"gateway.nantian.dev/gateway-class\":\"small.example\""));
    assert_true(
        says(service, "\"kind\":\"GatewayClass\",\"name\":\"small.example\",\"uid\":\"u\""));
    assert_false(says(service, "gateway.networking.k8s.io/gateway-name"));
    assert_true(says(manifests[KIND_OVERLAY_DEPLOYMENT].json, "\"--gateway\",\"/small.example\""));
    assert_true(text_starts_with(manifests[KIND_OVERLAY_DEPLOYMENT].path,
                                 TEXT("/apis/apps/v1/namespaces/edge/deployments/fleet-small-")));
}

static void what_is_taken_away_is_ours_alone_and_the_service_last(void **state)
{
    struct world *world = *state;
    struct manifest manifests[KIND_OVERLAYS];
    manifest_unmake(TEXT("edge"), TEXT("x"), &world->arena, manifests);
    for (size_t i = 0; i < KIND_OVERLAYS; i++) {
        assert_int_equal(manifests[i].json.len, 0);
        assert_true(says(manifests[i].path, "?fieldSelector=metadata.name%3Dx&labelSelector="
                                            "app.kubernetes.io%2Fmanaged-by%3Dnantian-control"));
    }
    assert_true(text_starts_with(manifests[KIND_OVERLAYS - 1].path,
                                 TEXT("/api/v1/namespaces/edge/services?")));
}

static const struct kind_object *put_labelled(struct world *world, const char *class)
{
    put(world,
        arena_printf(&world->arena,
                     GATEWAY "Gateway\nmetadata: {name: web, namespace: default, uid: g}\nspec:\n"
                             "  gatewayClassName: %s\n  infrastructure:\n"
                             "    labels: {app.kubernetes.io/name: mine, team: shop}\n"
                             "    annotations: {gateway.nantian.dev/gateway: other, a.b/c: d}\n"
                             "  listeners: [{name: http, port: 80, protocol: HTTP}]\n",
                     class)
            .data);
    return store_get(world->store, KIND_GATEWAY, TEXT("default"), TEXT("web"));
}

static size_t count_of(struct text json, const char *words)
{
    size_t count = 0;
    for (const char *at = json.data;
         (at = memmem(at, (size_t)(json.data + json.len - at), words, strlen(words))) != NULL;
         at += strlen(words))
        count++;
    return count;
}

/* Labels of ours find the pods; a key that stands twice is no JSON that could be overlaid. */
static void what_a_gateway_asks_for_in_our_names_does_not_count(void **state)
{
    struct world *world = *state;
    static const struct manifest_options options = {.image = {"proxy", 5}};
    struct manifest manifests[KIND_OVERLAYS];
    struct fleet fleet = fleet_of_gateway(put_labelled(world, "small.example"), &world->arena);
    assert_true(manifest_make(&options, world->store, &fleet, &world->arena, manifests));
    struct text service = manifests[KIND_OVERLAY_SERVICE].json;
    assert_int_equal(count_of(service, "\"app.kubernetes.io/name\""), 1);
    assert_true(says(service, "\"app.kubernetes.io/name\":\"nantian-proxy\""));
    assert_int_equal(count_of(service, "\"gateway.nantian.dev/gateway\""), 1);
    assert_true(says(service, "\"gateway.nantian.dev/gateway\":\"web\""));
    assert_true(says(service, "\"team\":\"shop\""));
    assert_true(says(service, "\"a.b/c\":\"d\""));
}

/* A label has 63 bytes at most; the name of a class up to 253. */
static void the_label_of_a_class_with_a_long_name_is_one_that_the_api_server_takes(void **state)
{
    struct world *world = *state;
    static const struct manifest_options options = {.image = {"proxy", 5}};
    static const char LABEL[] = "\"" MANIFEST_LABEL_CLASS "\":\"";
    struct manifest manifests[KIND_OVERLAYS];
    const char *class =
        "a-class.with-a-name.that-is-longer.than-the-sixty-three.bytes-of-a-label.example";
    struct fleet fleet = fleet_of_gateway(put_labelled(world, class), &world->arena);
    assert_true(manifest_make(&options, world->store, &fleet, &world->arena, manifests));
    struct text json = manifests[KIND_OVERLAY_DEPLOYMENT].json;
    const char *value = memmem(json.data, json.len, LABEL, strlen(LABEL));
    assert_non_null(value);
    size_t len = strcspn(value + strlen(LABEL), "\"");
    assert_in_range(len, 1, 63);
    assert_true(memcmp(value + strlen(LABEL), "class-a-class-with-a-name-", 26) == 0);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(the_fleet_of_a_class_stands_where_its_parameters_do),
        IN_WORLD(parameters_that_are_away_leave_what_stands),
        IN_WORLD(an_account_is_of_one_fleet_in_one_namespace),
        IN_WORLD(its_objects_have_the_ports_of_all_and_belong_to_the_class),
        IN_WORLD(what_is_taken_away_is_ours_alone_and_the_service_last),
        IN_WORLD(what_a_gateway_asks_for_in_our_names_does_not_count),
        IN_WORLD(the_label_of_a_class_with_a_long_name_is_one_that_the_api_server_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
