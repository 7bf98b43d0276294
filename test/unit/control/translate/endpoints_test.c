/* More endpoints than a backend may have: which of them are used. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/builder.h"
#include "base/limits.h"
#include "control/translate/translate.h"
#include "nantian/config/v1/endpoints.pb-c.h"
#include "test.h"

#define SLICES    12
#define PER_SLICE 1000

static void put(struct store *store, struct text yaml)
{
    struct arena arena;
    struct faults faults;
    struct value_documents documents;
    struct kind_objects objects = {0};
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    assert_true(value_parse_yaml(yaml, TEXT("x.yaml"), &arena, &documents, &faults));
    kind_decode(documents.items[0], TEXT("x.yaml"), KIND_LENIENT, &objects, &faults);
    assert_int_equal(objects.count, 1);
    (void)store_put(store, kind_object_ref(objects.items[0]), 0);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
}

static void put_slice(struct store *store, unsigned number)
{
    struct builder yaml = {0};
    builder_printf(&yaml,
                   "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e%u, "
                   "namespace: a, labels: {kubernetes.io/service-name: v}}\naddressType: IPv4\n"
                   "ports: [{name: p, port: 3000}]\nendpoints:\n",
                   number);
    for (unsigned i = 0; i < PER_SLICE; i++)
        builder_printf(&yaml, "- {addresses: [10.%u.%u.%u]}\n", i % 7, number, i / 7);
    put(store, builder_text(&yaml));
    builder_fini(&yaml);
}

/* The bytes of the endpoints that come of these slices, in this order. */
static struct outcome *translate_slices(struct store *store, bool is_reversed, struct text *ret)
{
    static const struct translate_options OPTIONS = {0};
    put(store, TEXT("apiVersion: v1\nkind: Service\nmetadata: {name: v, namespace: a}\nspec: "
                    "{ports: [{name: p, port: 80}]}\n"));
    put(store, TEXT("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, "
                    "namespace: a}\nspec: {gatewayClassName: c, listeners: [{name: l, port: 80, "
                    "protocol: HTTP}]}\n"));
    put(store, TEXT("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: "
                    "{name: c}\nspec: {controllerName: nantian.dev/gateway-controller}\n"));
    put(store, TEXT("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: "
                    "r, namespace: a}\nspec: {parentRefs: [{name: g}], rules: [{backendRefs: "
                    "[{name: v, port: 80}]}]}\n"));
    struct outcome *outcome = translate(store, &OPTIONS);
    store_changes_clear(store);
    for (unsigned i = 0; i < SLICES; i++) {
        put_slice(store, is_reversed ? SLICES - 1 - i : i);
        struct store_changes changes = store_changes(store);
        (void)translate_apply(outcome, store, &changes);
        store_changes_clear(store);
    }
    const struct outcome_edits *edits = outcome_edits(outcome);
    *ret = TEXT_NONE;
    for (size_t i = 0; i < edits->resource_count; i++)
        if (edits->resources[i].type == RESOURCE_ENDPOINTS)
            *ret = edits->resources[i].bytes;
    assert_true(ret->len > 0);
    return outcome;
}

static void which_endpoints_are_left_out_does_not_go_by_the_order_of_slices(void **state)
{
    (void)state;
    struct text one, other;
    struct store *first = store_new(), *second = store_new();
    struct outcome *forward = translate_slices(first, false, &one);
    struct outcome *backward = translate_slices(second, true, &other);
    Nantian__Config__V1__Endpoints *message =
        nantian__config__v1__endpoints__unpack(NULL, one.len, (const uint8_t *)one.data);
    assert_non_null(message);
    assert_int_equal(message->n_endpoints, LIMIT_ENDPOINTS);
    nantian__config__v1__endpoints__free_unpacked(message, NULL);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.data, other.data, one.len);
    outcome_free(forward);
    outcome_free(backward);
    store_free(first);
    store_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_endpoints_are_left_out_does_not_go_by_the_order_of_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
