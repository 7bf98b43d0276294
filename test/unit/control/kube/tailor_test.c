/* What a Gateway's objects come to with parameters of its class and its own. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/put.h"
#include "control/kube/tailor.h"

#define NANTIAN "apiVersion: gateway.nantian.dev/v1alpha1\nkind: GatewayParameters\nmetadata: "
#define GATEWAY "apiVersion: gateway.networking.k8s.io/v1\nkind: "

struct world {
    struct store *store;
    struct arena arena;
    struct manifest manifests[KIND_OVERLAYS];
    bool is_tailored;
};

static void put(struct world *world, const char *yaml)
{
    put_yaml(world->store, &world->arena, yaml);
}

/* Why not; empty: it could be. */
static struct text lay(struct world *world)
{
    static const struct manifest_options options = {.image = {"proxy", 5},
                                                    .xds_address = {"control:1", 9},
                                                    .ca = {"pem", 3},
                                                    .server_name = {"control", 7},
                                                    .audience = {"us", 2}};
    const struct kind_object *gateway =
        store_get(world->store, KIND_GATEWAY, TEXT("default"), TEXT("web"));
    struct fleet fleet = fleet_of_gateway(gateway, &world->arena);
    assert_true(manifest_make(&options, world->store, &fleet, &world->arena, world->manifests));
    return tailor_lay(world->store, &fleet, &world->arena, world->manifests, &world->is_tailored);
}

static bool says(const struct world *world, enum kind_overlay part, const char *words)
{
    struct text json = world->manifests[part].json;
    return memmem(json.data, json.len, words, strlen(words)) != NULL;
}

static void begin(struct world *world, const char *gateway_more, const char *class_more)
{
    *world = (struct world){.store = store_new()};
    arena_init(&world->arena, 0);
    put(world, arena_printf(&world->arena,
                            GATEWAY "GatewayClass\nmetadata: {name: nantian}\nspec:\n"
                                    "  controllerName: nantian.dev/gateway-controller\n%s",
                            class_more)
                   .data);
    put(world, arena_printf(&world->arena,
                            GATEWAY "Gateway\nmetadata: {name: web, uid: u}\nspec:\n"
                                    "  gatewayClassName: nantian\n%s"
                                    "  listeners: [{name: http, port: 80, protocol: HTTP}]\n",
                            gateway_more)
                   .data);
}

static void end(struct world *world)
{
    store_free(world->store);
    arena_fini(&world->arena);
}

#define OWN                                                                                        \
    "  infrastructure: {parametersRef: {group: gateway.nantian.dev, kind: GatewayParameters, "     \
    "name: own}}\n"
#define ALL                                                                                        \
    "  parametersRef: {group: gateway.nantian.dev, kind: GatewayParameters, namespace: x, "        \
    "name: all}\n"

static void without_parameters_all_six_are_as_they_are(void **state)
{
    (void)state;
    struct world world;
    begin(&world, "", "");
    assert_int_equal(lay(&world).len, 0);
    assert_false(world.is_tailored);
    assert_true(says(&world, KIND_OVERLAY_SCALER, "\"maxReplicas\":10"));
    assert_true(says(&world, KIND_OVERLAY_DISRUPTION, "\"maxUnavailable\":1"));
    assert_false(says(&world, KIND_OVERLAY_DEPLOYMENT, "replicas"));
    end(&world);
}

static void the_gateways_parameters_lie_on_top_of_the_classes(void **state)
{
    (void)state;
    struct world world;
    begin(&world, OWN, ALL);
    put(&world, NANTIAN "{name: all, namespace: x}\nspec:\n"
                        "  service: {spec: {type: NodePort, externalTrafficPolicy: Local}}\n"
                        "  podDisruptionBudget: {$patch: delete}\n");
    put(&world, NANTIAN "{name: own}\nspec: {service: {spec: {type: ClusterIP}}}\n");
    assert_int_equal(lay(&world).len, 0);
    assert_true(world.is_tailored);
    assert_true(says(&world, KIND_OVERLAY_SERVICE, "\"type\":\"ClusterIP\""));
    assert_true(says(&world, KIND_OVERLAY_SERVICE, "\"externalTrafficPolicy\":\"Local\""));
    assert_int_equal(world.manifests[KIND_OVERLAY_DISRUPTION].json.len, 0);
    assert_true(text_starts_with(world.manifests[KIND_OVERLAY_DISRUPTION].path,
                                 TEXT("/apis/policy/v1/namespaces/default/poddisruptionbudgets?")));
    end(&world);
}

static void what_may_not_be_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *why;
    } CASES[] = {
        {"{deployment: {metadata: {name: x}}}",
         "GatewayParameters default/own: spec.deployment: metadata.name cannot be changed."},
        {"{service: {metadata: {labels: {app.kubernetes.io/managed-by: null}}}}",
         "GatewayParameters default/own: spec.service: "
         "metadata.labels.app.kubernetes.io/managed-by cannot be changed."},
        {"{serviceAccount: {$patch: delete}}",
         "GatewayParameters default/own: spec.serviceAccount: it cannot be left out."},
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct world world;
        begin(&world, OWN, "");
        put(&world,
            arena_printf(&world.arena, NANTIAN "{name: own}\nspec: %s\n", CASES[i].spec).data);
        assert_string_equal(arena_string(&world.arena, lay(&world)), CASES[i].why);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_parameters_all_six_are_as_they_are),
        cmocka_unit_test(the_gateways_parameters_lie_on_top_of_the_classes),
        cmocka_unit_test(what_may_not_be_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
