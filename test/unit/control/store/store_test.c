/* The store: order, generations, references, changes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/builder.h"
#include "control/store/store.h"
#include "test.h"

#define NOW 1000

struct world {
    struct arena arena;
    struct store *store;
};

static int setup(void **state)
{
    static struct world world;
    arena_init(&world.arena, 0);
    world.store = store_new();
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

/* Puts every object of the text; true if any put changed something. */
static bool put(struct world *world, const char *yaml)
{
    struct value_documents documents;
    struct faults faults;
    struct kind_objects objects = {0};
    bool changed = false;
    faults_init(&faults, &world->arena);
    assert_true(
        value_parse_yaml(text_of(yaml), TEXT("f.yaml"), &world->arena, &documents, &faults));
    for (size_t i = 0; i < documents.count; i++)
        kind_decode(documents.items[i], TEXT("f.yaml"), KIND_STRICT, &objects, &faults);
    assert_int_equal(faults.count, 0);
    for (size_t i = 0; i < objects.count; i++)
        changed |= store_put(world->store, kind_object_ref(objects.items[i]), NOW);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    return changed;
}

static struct store_key key(enum kind_id kind, const char *namespace, const char *name)
{
    return (struct store_key){kind, text_of(namespace), text_of(name)};
}

static const struct kind_object *get(struct world *world, enum kind_id kind, const char *namespace,
                                     const char *name)
{
    return store_get(world->store, kind, text_of(namespace), text_of(name));
}

/* "HTTPRoute shop/cart, ...": keys in words. */
static const char *words(struct world *world, struct store_keys keys)
{
    struct builder out CLEANUP(builder_fini) = {0};
    for (size_t i = 0; i < keys.count; i++)
        builder_printf(&out, "%s%s " TEXT_FMT "/" TEXT_FMT, i == 0 ? "" : ", ",
                       kind_name(keys.items[i].kind), TEXT_ARG(keys.items[i].namespace),
                       TEXT_ARG(keys.items[i].name));
    return arena_string(&world->arena, builder_text(&out));
}

static const char *changes(struct world *world)
{
    static const char *const names[] = {"+", "~", ">", "-"};
    struct store_changes all = store_changes(world->store);
    struct builder out CLEANUP(builder_fini) = {0};
    for (size_t i = 0; i < all.count; i++)
        builder_printf(&out, "%s%s" TEXT_FMT, i == 0 ? "" : " ", names[all.items[i].type],
                       TEXT_ARG(all.items[i].key.name));
    store_changes_clear(world->store);
    return arena_string(&world->arena, builder_text(&out));
}

#define SERVICE(name, port)                                                                        \
    "apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {ports: [{port: " port       \
    "}]}\n---\n"
#define ROUTE(name, gateway, service)                                                              \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name            \
    ", namespace: shop}\nspec: {parentRefs: [{name: " gateway                                      \
    ", namespace: infra}], rules: [{backendRefs: [{name: " service ", port: 80}, {name: " service  \
    ", port: 81}]}]}\n---\n"

static void objects_are_listed_in_order(void **state)
{
    struct world *world = *state;
    put(world, SERVICE("c", "1") SERVICE("a", "1") SERVICE("b", "1"));
    put(world, "apiVersion: v1\nkind: Service\nmetadata: {name: z, namespace: apps}\nspec: {ports: "
               "[{port: 1}]}\n");
    struct store_list list = store_list(world->store, KIND_SERVICE);
    assert_int_equal(list.count, 4);
    const char *wanted[] = {"z", "a", "b", "c"};
    for (size_t i = 0; i < 4; i++)
        assert_true(text_is(list.items[i]->meta.name, wanted[i]));
    assert_true(store_remove(world->store, key(KIND_SERVICE, "default", "b")));
    assert_false(store_remove(world->store, key(KIND_SERVICE, "default", "b")));
    assert_int_equal(store_count(world->store, KIND_SERVICE), 3);
    put(world, SERVICE("aa", "1") SERVICE("b", "2"));
    list = store_list_namespace(world->store, KIND_SERVICE, TEXT("default"));
    const char *then[] = {"a", "aa", "b", "c"};
    assert_int_equal(list.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(text_is(list.items[i]->meta.name, then[i]));
    list = store_list_namespace(world->store, KIND_SERVICE, TEXT("none"));
    assert_int_equal(list.count, 0);
    assert_int_equal(store_list(world->store, KIND_GATEWAY).count, 0);
}

static void a_replaced_object_is_the_one_listed(void **state)
{
    struct world *world = *state;
    put(world, SERVICE("a", "1") SERVICE("b", "1"));
    store_list(world->store, KIND_SERVICE);
    put(world, SERVICE("a", "2"));
    assert_ptr_equal(store_list(world->store, KIND_SERVICE).items[0],
                     get(world, KIND_SERVICE, "default", "a"));
}

static void generations_count_changes_of_the_spec(void **state)
{
    struct world *world = *state;
    assert_true(put(world, SERVICE("a", "1")));
    const struct kind_object *object = get(world, KIND_SERVICE, "default", "a");
    assert_int_equal(object->meta.generation, 1);
    assert_int_equal(object->meta.created, NOW);
    assert_false(put(world, SERVICE("a", "1")));
    assert_ptr_equal(get(world, KIND_SERVICE, "default", "a"), object);
    assert_true(put(world, "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {x: z}}\n"
                           "spec: {ports: [{port: 1}]}\n"));
    assert_int_equal(get(world, KIND_SERVICE, "default", "a")->meta.generation, 1);
    assert_true(put(world, SERVICE("a", "2")));
    assert_int_equal(get(world, KIND_SERVICE, "default", "a")->meta.generation, 2);
    assert_true(put(world, "apiVersion: v1\nkind: Service\nmetadata: {name: a, generation: 40}\n"
                           "spec: {ports: [{port: 3}]}\n"));
    assert_int_equal(get(world, KIND_SERVICE, "default", "a")->meta.generation, 40);
}

static void changes_of_one_object_are_joined(void **state)
{
    struct world *world = *state;
    put(world, SERVICE("a", "1") SERVICE("b", "1"));
    put(world, SERVICE("a", "2"));
    assert_string_equal(changes(world), "+a +b");
    put(world, SERVICE("a", "3"));
    assert_string_equal(changes(world), "~a");
    put(world, "\n\n" SERVICE("a", "3"));
    assert_string_equal(changes(world), ">a");
    put(world, SERVICE("c", "1"));
    store_remove(world->store, key(KIND_SERVICE, "default", "c"));
    assert_string_equal(changes(world), "");
    store_remove(world->store, key(KIND_SERVICE, "default", "a"));
    put(world, SERVICE("a", "9"));
    assert_string_equal(changes(world), "~a");
    put(world, SERVICE("a", "8"));
    store_remove(world->store, key(KIND_SERVICE, "default", "a"));
    assert_string_equal(changes(world), "-a");
    assert_string_equal(changes(world), "");
}

static void revisions_rise_per_kind(void **state)
{
    struct world *world = *state;
    put(world, SERVICE("a", "1"));
    put(world, SERVICE("a", "1"));
    put(world, SERVICE("a", "2"));
    put(world, "apiVersion: v1\nkind: Namespace\nmetadata: {name: m}\n");
    assert_int_equal(store_revision(world->store, KIND_SERVICE), 2);
    assert_int_equal(store_revision(world->store, KIND_NAMESPACE), 1);
    assert_int_equal(store_total_revision(world->store), 3);
    put(world, "\n" SERVICE("a", "2"));
    assert_int_equal(store_total_revision(world->store), 3);
}

static void referrers_follow_every_change(void **state)
{
    struct world *world = *state;
    put(world, ROUTE("one", "edge", "web") ROUTE("two", "edge", "api"));
    struct store_key gateway = key(KIND_GATEWAY, "infra", "edge");
    assert_string_equal(words(world, store_referrers(world->store, gateway, &world->arena)),
                        "HTTPRoute shop/one, HTTPRoute shop/two");
    assert_string_equal(
        words(world,
              store_references(world->store, key(KIND_HTTP_ROUTE, "shop", "one"), &world->arena)),
        "Gateway infra/edge, Namespace /shop, Service shop/web");
    put(world, ROUTE("one", "other", "api"));
    assert_string_equal(words(world, store_referrers(world->store, gateway, &world->arena)),
                        "HTTPRoute shop/two");
    assert_string_equal(words(world, store_referrers(world->store, key(KIND_SERVICE, "shop", "api"),
                                                     &world->arena)),
                        "HTTPRoute shop/one, HTTPRoute shop/two");
    store_remove(world->store, key(KIND_HTTP_ROUTE, "shop", "two"));
    assert_string_equal(words(world, store_referrers(world->store, gateway, &world->arena)), "");
}

static void every_kind_of_reference_is_known(void **state)
{
    struct world *world = *state;
    put(world,
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: "
        "ns}\nspec:\n  gatewayClassName: c\n  listeners: [{name: a, port: 443, protocol: HTTPS, "
        "tls: {certificateRefs: [{name: s1}, {name: s2, namespace: m}, {group: x.z, kind: Z, "
        "name: z}]}}]\n  tls: {backend: {clientCertificateRef: {name: s3}}, frontend: {default: "
        "{validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n  "
        "infrastructure: {parametersRef: {group: '', kind: ConfigMap, name: p}}\n---\n"
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, "
        "namespace: ns}\nspec: {parentRefs: [{name: ls, kind: ListenerSet}], rules: [{filters: "
        "[{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 1}}}, {type: "
        "ExtensionRef, extensionRef: {group: gateway.nantian.dev, kind: SecurityPolicy, name: "
        "sp}}], backendRefs: [{name: b, port: 1, filters: [{type: RequestMirror, requestMirror: "
        "{backendRef: {name: bm, port: 1}}}]}]}]}\n---\n"
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e, namespace: ns, "
        "labels: {kubernetes.io/service-name: b}}\naddressType: IPv4\n---\n"
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: t, "
        "namespace: ns}\nspec: {targetRefs: [{group: '', kind: Service, name: b}], validation: "
        "{hostname: a.b, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}\n---\n"
        "apiVersion: gateway.nantian.dev/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: sp, "
        "namespace: ns}\nspec: {targetRefs: [{kind: HTTPRoute, name: r}], authn: {basicAuth: "
        "{htpasswdRef: {name: pw}}}}\n");
    static const struct expectation {
        enum kind_id kind;
        const char *namespace, *name, *wanted;
    } table[] = {
        {KIND_GATEWAY_CLASS, "", "c", "Gateway ns/g"},
        {KIND_SECRET, "ns", "s1", "Gateway ns/g"},
        {KIND_SECRET, "m", "s2", "Gateway ns/g"},
        {KIND_SECRET, "ns", "s3", "Gateway ns/g"},
        {KIND_CONFIG_MAP, "ns", "p", "Gateway ns/g"},
        {KIND_CONFIG_MAP, "ns", "ca", "Gateway ns/g, BackendTLSPolicy ns/t"},
        {KIND_LISTENER_SET, "ns", "ls", "HTTPRoute ns/r"},
        {KIND_NAMESPACE, "", "ns", "HTTPRoute ns/r"},
        {KIND_SERVICE, "ns", "m", "HTTPRoute ns/r"},
        {KIND_SERVICE, "ns", "bm", "HTTPRoute ns/r"},
        {KIND_SERVICE, "ns", "b", "HTTPRoute ns/r, BackendTLSPolicy ns/t, EndpointSlice ns/e"},
        {KIND_SECURITY_POLICY, "ns", "sp", "HTTPRoute ns/r"},
        {KIND_HTTP_ROUTE, "ns", "r", "SecurityPolicy ns/sp"},
        {KIND_SECRET, "ns", "pw", "SecurityPolicy ns/sp"},
        {KIND_SERVICE, "m", "b", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct store_key target = key(table[i].kind, table[i].namespace, table[i].name);
        assert_string_equal(words(world, store_referrers(world->store, target, &world->arena)),
                            table[i].wanted);
    }
}

static void many_come_and_go(void **state)
{
    struct world *world = *state;
    struct builder yaml CLEANUP(builder_fini) = {0};
    for (int i = 0; i < 2000; i++) {
        builder_clear(&yaml);
        builder_printf(&yaml,
                       "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: "
                       "{name: r%d, namespace: n%d}\nspec: {parentRefs: [{name: g, namespace: "
                       "m}], rules: [{backendRefs: [{name: s%d, port: 1}]}]}\n",
                       i * 7919 % 2000, i % 3, i % 10);
        put(world, yaml.data);
    }
    struct store_key gateway = key(KIND_GATEWAY, "m", "g");
    assert_int_equal(store_referrers(world->store, gateway, &world->arena).count, 2000);
    struct store_list list = store_list(world->store, KIND_TCP_ROUTE);
    assert_int_equal(list.count, 2000);
    size_t removed = 0;
    struct store_key *keys = arena_array(&world->arena, struct store_key, list.count);
    for (size_t i = 0; i < list.count; i += 2)
        keys[removed++] = (struct store_key){
            KIND_TCP_ROUTE, arena_text(&world->arena, list.items[i]->meta.namespace),
            arena_text(&world->arena, list.items[i]->meta.name)};
    for (size_t i = 0; i < removed; i++)
        assert_true(store_remove(world->store, keys[i]));
    assert_int_equal(store_referrers(world->store, gateway, &world->arena).count, 1000);
    list = store_list(world->store, KIND_TCP_ROUTE);
    assert_int_equal(list.count, 1000);
    for (size_t i = 1; i < list.count; i++) {
        const struct kind_meta *a = &list.items[i - 1]->meta, *b = &list.items[i]->meta;
        int order = text_compare(a->namespace, b->namespace);
        assert_true(order < 0 || (order == 0 && text_compare(a->name, b->name) < 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_are_listed_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replaced_object_is_the_one_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(generations_count_changes_of_the_spec, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_of_one_object_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(revisions_rise_per_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(referrers_follow_every_change, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kind_of_reference_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(many_come_and_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
