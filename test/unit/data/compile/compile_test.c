/* Changes into snapshots: what they hold, what successive ones share, what is kept and reused. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "compile_make.h"
#include "data/compile/part.h"
#include "data/compile/pem.h"

#define L "default/web/http"

static void base(struct world *world)
{
    world_init(world);
    put_listener(world, L, 8080, "");
    put_backend(world, "shop/cart:80");
    put_route(world, L, "cart", "/cart", "shop/cart:80");
    taken(world);
}

static void resources_become_a_snapshot(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    const struct snapshot *snapshot = world.snapshot;
    assert_int_equal(snapshot->binding_count, 1);
    assert_true(text_is(snapshot->version, "1.0.7"));
    assert_int_equal(snapshot->digest.low, 2);
    const struct binding *binding = snapshot->bindings[0];
    char text[ADDRESS_TEXT_MAX];
    assert_true(text_is(address_format(&binding->address, text), "0.0.0.0:8080"));
    assert_ptr_equal(snapshot_binding(snapshot, &binding->address, false), binding);
    const struct route *route = find_route(snapshot, L, "any.example", "/cart/1");
    assert_non_null(route);
    assert_true(text_is(route->label, "HTTPRoute/shop/cart/0"));
    assert_true(text_is(route->listener, L) && text_is(route->kind, "HTTPRoute"));
    assert_true(text_is(route->namespace, "shop") && text_is(route->name, "cart"));
    const struct backend *backend = backend_table_get(snapshot->backends, route->backends[0].slot);
    assert_true(text_is(backend->name, "shop/cart:80"));
    assert_true(text_is(backend->endpoints[0].text, "10.0.0.1:8080"));
    assert_null(find_route(snapshot, L, "any.example", "/cartoon"));
    world_fini(&world);
}

static void a_change_shares_what_it_does_not_touch(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    put_listener(&world, "default/web/other", 8081, "");
    put_route(&world, L, "stays", "/stays", "shop/cart:80");
    taken(&world);
    struct snapshot *before = snapshot_ref(world.snapshot);
    const struct route *stays = find_route(before, L, "h", "/stays");
    put_route(&world, L, "cart", "/basket", "shop/cart:80");
    taken(&world);
    assert_ptr_equal(find_route(world.snapshot, L, "h", "/stays"), stays);
    assert_null(find_route(world.snapshot, L, "h", "/cart"));
    assert_non_null(find_route(world.snapshot, L, "h", "/basket"));
    assert_non_null(find_route(before, L, "h", "/cart")); /* the old one is as it was */
    assert_ptr_equal(find_listener(world.snapshot, "default/web/other"),
                     find_listener(before, "default/web/other"));
    assert_ptr_equal(world.snapshot->backends, before->backends);
    assert_true(world.snapshot->number > before->number);

    put_endpoints(&world, "shop/cart:80", "10.0.0.2", 9090);
    taken(&world);
    assert_ptr_equal(find_route(world.snapshot, L, "h", "/stays"), stays);
    const struct backend *backend =
        backend_table_get(world.snapshot->backends, stays->backends[0].slot);
    assert_true(text_is(backend->endpoints[0].text, "10.0.0.2:9090"));
    snapshot_unref(before);
    world_fini(&world);
}

static void removal_takes_a_resource_out(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    drop(&world, RESOURCE_ROUTE, L "|HTTPRoute/shop/cart/0");
    drop(&world, RESOURCE_BACKEND, "shop/cart:80");
    drop(&world, RESOURCE_ENDPOINTS, "shop/cart:80");
    drop(&world, RESOURCE_ENDPOINTS, "never/was:80");
    taken(&world);
    assert_null(find_route(world.snapshot, L, "h", "/cart"));
    assert_null(backend_table_get(world.snapshot->backends, 0));
    drop(&world, RESOURCE_LISTENER, L);
    taken(&world);
    assert_int_equal(world.snapshot->binding_count, 0);
    world_fini(&world);
}

static void a_listener_that_changes_keeps_its_routes(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    put_listener(&world, L, 9090, "*.example.com");
    taken(&world);
    assert_non_null(find_route(world.snapshot, L, "a.example.com", "/cart"));
    assert_int_equal(address_port(&world.snapshot->bindings[0]->address), 9090);
    assert_non_null(binding_listener(world.snapshot->bindings[0], TEXT("a.example.com")));
    assert_null(binding_listener(world.snapshot->bindings[0], TEXT("example.org")));
    world_fini(&world);
}

static void listeners_of_one_port_share_a_binding(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    put_listener(&world, "default/web/a", 80, "a.example.com");
    put_listener(&world, "default/web/b", 80, "*.example.com");
    put_listener(&world, "default/web/c", 81, "a.example.com");
    taken(&world);
    assert_int_equal(world.snapshot->binding_count, 2);
    const struct binding *binding = world.snapshot->bindings[0];
    assert_int_equal(binding->listener_count, 2);
    assert_true(text_is(binding_listener(binding, TEXT("a.example.com"))->name, "http"));
    /* Two that swap their names in one change are no conflict. */
    put_listener(&world, "default/web/a", 80, "*.example.com");
    put_listener(&world, "default/web/b", 80, "a.example.com");
    taken(&world);
    assert_true(
        text_is(binding_listener(world.snapshot->bindings[0], TEXT("a.example.com"))->resource,
                "default/web/b"));
    world_fini(&world);
}

static void a_route_may_move_to_another_listener(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    put_listener(&world, "default/web/b", 81, "");
    struct make_route route;
    route_init(&route, "default/web/b", "cart", "/cart", "shop/cart:80");
    put(&world, RESOURCE_ROUTE, L "|HTTPRoute/shop/cart/0", &route.message);
    taken(&world);
    assert_null(find_route(world.snapshot, L, "h", "/cart"));
    assert_non_null(find_route(world.snapshot, "default/web/b", "h", "/cart"));
    drop(&world, RESOURCE_LISTENER, L);
    taken(&world);
    world_fini(&world);
}

static void slots_stay_with_a_resource_and_are_reused_when_nobody_remembers(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    put_route(&world, L, "a", "/a", "shop/cart:80");
    taken(&world);
    uint32_t slot = find_route(world.snapshot, L, "h", "/a")->slot;
    put_route(&world, L, "a", "/aa", "shop/cart:80");
    taken(&world);
    assert_int_equal(find_route(world.snapshot, L, "h", "/aa")->slot, slot);
    struct snapshot *held = snapshot_ref(world.snapshot);
    drop(&world, RESOURCE_ROUTE, L "|HTTPRoute/shop/a/0");
    taken(&world);
    put_route(&world, L, "b", "/b", "shop/cart:80");
    taken(&world);
    assert_int_not_equal(find_route(world.snapshot, L, "h", "/b")->slot, slot);
    snapshot_unref(held);
    put_route(&world, L, "c", "/c", "shop/cart:80");
    taken(&world);
    assert_int_equal(find_route(world.snapshot, L, "h", "/c")->slot, slot);
    assert_true(world.snapshot->route_slots > slot);
    world_fini(&world);
}

static void a_refused_change_changes_nothing(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    struct snapshot *before = snapshot_ref(world.snapshot);
    put_listener(&world, L, 9999, "");
    put_secret(&world, "default/tls", PEM_CHAIN_A, PEM_KEY_A, "");
    put_backend(&world, "shop/new:80");
    put_route(&world, L, "new", "/new", "shop/new:80");
    put_route(&world, L, "cart", "/other", "shop/missing:80");
    put_endpoints(&world, "shop/cart:80", "not an address", 0);
    drop(&world, RESOURCE_LISTENER, "never/was/there");
    assert_false(apply(&world));
    assert_int_equal(world.fault_count, 2); /* all of them are told */
    taken(&world);                          /* nothing is left of it */
    assert_int_equal(address_port(&world.snapshot->bindings[0]->address), 8080);
    assert_ptr_equal(world.snapshot->bindings[0], before->bindings[0]);
    assert_null(find_route(world.snapshot, L, "h", "/new"));
    assert_non_null(find_route(world.snapshot, L, "h", "/cart"));
    /* What was staged is not there to be referred to. */
    put_route(&world, L, "new", "/new", "shop/new:80");
    refused(&world, "nantian.config.v1.Route " L "|HTTPRoute/shop/new/0 | backends[0].backend | "
                    "there is no Backend \"shop/new:80\"");
    snapshot_unref(before);
    world_fini(&world);
}

static Listener https(const char *secret, Nantian__Config__V1__Listener__Tls *tls, char **secrets)
{
    Listener listener = make_listener(8443, "");
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTPS;
    *tls = (Nantian__Config__V1__Listener__Tls)NANTIAN__CONFIG__V1__LISTENER__TLS__INIT;
    secrets[0] = STRING(secret);
    tls->secrets = secrets;
    tls->n_secrets = 1;
    listener.tls = tls;
    return listener;
}

static void a_new_certificate_reaches_the_listener_and_keeps_the_context(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    Nantian__Config__V1__Listener__Tls tls;
    char *secrets[1];
    Listener listener = https("default/tls", &tls, secrets);
    put_secret(&world, "default/tls", PEM_CHAIN_A, PEM_KEY_A, "");
    put(&world, RESOURCE_LISTENER, L, &listener);
    taken(&world);
    const struct binding *binding = world.snapshot->bindings[0];
    const struct tls_context *context = binding->tls;
    const struct tls_certificate *certificate = find_listener(world.snapshot, L)->certificates[0];
    assert_non_null(context);
    assert_int_equal(binding->protocol, LISTENER_HTTPS);
    put_secret(&world, "default/tls", PEM_CHAIN_B, PEM_KEY_B, "");
    taken(&world);
    assert_ptr_equal(world.snapshot->bindings[0]->tls, context);
    assert_ptr_not_equal(find_listener(world.snapshot, L)->certificates[0], certificate);

    char *cas[] = {STRING("default/ca")};
    tls.client_ca_secrets = cas;
    tls.n_client_ca_secrets = 1;
    put_secret(&world, "default/ca", "", "", PEM_CHAIN_A);
    put(&world, RESOURCE_LISTENER, L, &listener);
    taken(&world);
    assert_ptr_not_equal(world.snapshot->bindings[0]->tls, context);
    world_fini(&world);
}

static void a_backend_with_tls_takes_a_new_ca(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    Nantian__Config__V1__Backend__Tls tls = NANTIAN__CONFIG__V1__BACKEND__TLS__INIT;
    Backend backend = NANTIAN__CONFIG__V1__BACKEND__INIT;
    tls.server_name = STRING("a.example.com");
    char *cas[] = {STRING("ca/ConfigMap/shop/ca"), STRING("ca/ConfigMap/shop/more")};
    tls.ca_secrets = cas;
    tls.n_ca_secrets = 2;
    backend.tls = &tls;
    backend.endpoints = STRING("shop/tls:443");
    put_secret(&world, "ca/ConfigMap/shop/ca", "", "", PEM_CHAIN_A);
    put_secret(&world, "ca/ConfigMap/shop/more", "", "", PEM_CHAIN_B);
    put_endpoints(&world, "shop/tls:443", "10.0.0.1", 443);
    put(&world, RESOURCE_BACKEND, "shop/tls:443", &backend);
    taken(&world);
    const struct backend *made = backend_table_get(world.snapshot->backends, 0);
    const struct tls_context *context = made->tls;
    assert_non_null(context);
    assert_true(text_is(made->server_name, "a.example.com"));
    put_endpoints(&world, "shop/tls:443", "10.0.0.2", 443);
    taken(&world);
    made = backend_table_get(world.snapshot->backends, 0);
    assert_ptr_equal(made->tls, context); /* its sessions live on */
    put_secret(&world, "ca/ConfigMap/shop/ca", "", "", PEM_CHAIN_B);
    taken(&world);
    assert_ptr_not_equal(backend_table_get(world.snapshot->backends, 0)->tls, context);
    world_fini(&world);
}

static void ending_endpoints_are_for_everybody_only_when_no_other_serves(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    Nantian__Config__V1__Endpoint three[3], *all[3];
    for (int i = 0; i < 3; i++) {
        three[i] = (Nantian__Config__V1__Endpoint)NANTIAN__CONFIG__V1__ENDPOINT__INIT;
        three[i].address = STRING("10.0.0.9");
        three[i].port = 1000u + (uint32_t)i;
        all[i] = &three[i];
    }
    three[0].serving = three[1].serving = three[1].terminating = true;
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    endpoints.endpoints = all;
    endpoints.n_endpoints = 3;
    put(&world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
    taken(&world);
    const struct backend *backend = backend_table_get(world.snapshot->backends, 0);
    assert_int_equal(backend->endpoint_count, 2);
    assert_int_equal(backend->reserved_count, 1);
    assert_true(text_is(backend->endpoints[0].text, "10.0.0.9:1000"));
    assert_true(text_is(backend->endpoints[1].text, "10.0.0.9:1001"));
    three[0].serving = false;
    put(&world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
    taken(&world);
    backend = backend_table_get(world.snapshot->backends, 0);
    assert_int_equal(backend->endpoint_count, 1);
    assert_int_equal(backend->reserved_count, 0);
    assert_true(text_is(backend->endpoints[0].text, "10.0.0.9:1001"));
    world_fini(&world);
}

/* Which of three endpoints are far, as letters, for a data plane in zone "a". */
static void check_zones(struct world *world, const char *first, const char *second, bool is_third,
                        const char *expected)
{
    Nantian__Config__V1__Endpoint three[3], *all[3];
    char *hints[3] = {STRING(first), STRING(second), STRING("a")}, far[4] = "";
    for (int i = 0; i < 3; i++) {
        three[i] = (Nantian__Config__V1__Endpoint)NANTIAN__CONFIG__V1__ENDPOINT__INIT;
        three[i].address = STRING("10.0.0.9");
        three[i].port = 1000u + (uint32_t)i;
        three[i].serving = true;
        three[i].hint_zones = &hints[i];
        three[i].n_hint_zones = i < 2 || is_third ? 1 : 0;
        all[i] = &three[i];
    }
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    endpoints.endpoints = all;
    endpoints.n_endpoints = 3;
    put(world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
    taken(world);
    const struct backend *backend = backend_table_get(world->snapshot->backends, 0);
    assert_int_equal(backend->endpoint_count, 3);
    assert_int_equal(backend->reserved_count, 0);
    for (int i = 0; i < 3; i++)
        far[i] = backend->endpoints[i].is_far ? 'f' : 'n';
    assert_string_equal(far, expected);
}

static void hints_count_when_every_endpoint_has_some_and_one_is_for_our_zone(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    check_zones(&world, "b", "c", true, "nnn"); /* we do not know where we are */
    world.compile->options.zone = TEXT("a");
    check_zones(&world, "b", "c", true, "ffn");
    check_zones(&world, "a", "b", true, "nfn");
    check_zones(&world, "b", "c", false, "nnn");
    world.compile->options.zone = TEXT("d");
    check_zones(&world, "b", "c", true, "nnn");
    world_fini(&world);
}

static void on_name(void *owner, struct text backend, struct text dns_name)
{
    snprintf(owner, 128, TEXT_FMT " " TEXT_FMT, TEXT_ARG(backend), TEXT_ARG(dns_name));
}

static void host_names_are_asked_for_and_answered(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    endpoints.dns_name = STRING("db.example.com");
    endpoints.dns_port = 5432;
    put(&world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
    taken(&world);
    char asked[128] = "";
    compile_dns_walk(world.compile, asked, on_name);
    assert_string_equal(asked, "shop/cart:80 db.example.com");
    struct address address;
    assert_true(address_parse(TEXT("10.1.2.3"), 0, &address));
    assert_true(compile_dns_resolved(world.compile, TEXT("shop/cart:80"), &address, 1));
    assert_false(compile_dns_resolved(world.compile, TEXT("shop/none:80"), &address, 1));
    taken(&world);
    const struct backend *backend = backend_table_get(world.snapshot->backends, 0);
    assert_true(text_is(backend->endpoints[0].text, "10.1.2.3:5432"));
    world_fini(&world);
}

/* A Service of type ExternalName must not lead to the admin port, or to a sidecar's. */
static void a_name_that_leads_elsewhere_never_leads_back_to_this_machine(void **state)
{
    (void)state;
    static const char *const FOUND[] = {
        "127.0.0.1", "127.9.9.9",        "0.0.0.0",         "::1",
        "::",        "::ffff:127.0.0.1", "::ffff:10.1.2.3", "10.1.2.3"};
    struct world world;
    base(&world);
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    endpoints.dns_name = STRING("db.example.com");
    endpoints.dns_port = 19000;
    for (int i = 0; i < 2; i++) {
        struct address found[ARRAY_LEN(FOUND)];
        for (size_t k = 0; k < ARRAY_LEN(FOUND); k++)
            assert_true(address_parse(text_of(FOUND[k]), 0, &found[k]));
        endpoints.dns_elsewhere = i == 1;
        put(&world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
        taken(&world);
        (void)compile_dns_resolved(world.compile, TEXT("shop/cart:80"), found, ARRAY_LEN(FOUND));
        taken(&world);
        const struct backend *backend = backend_table_get(world.snapshot->backends, 0);
        assert_int_equal(backend->endpoint_count, i == 0 ? ARRAY_LEN(FOUND) : 2);
    }
    const struct backend *backend = backend_table_get(world.snapshot->backends, 0);
    assert_true(text_is(backend->endpoints[1].text, "10.1.2.3:19000"));
    world_fini(&world);
}

static void an_endpoint_that_is_named_twice_is_one(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    Nantian__Config__V1__Endpoint three[3], *all[3];
    for (int i = 0; i < 3; i++) {
        three[i] = (Nantian__Config__V1__Endpoint)NANTIAN__CONFIG__V1__ENDPOINT__INIT;
        three[i].address = STRING(i == 1 ? "fd00:0::9" : "fd00::9");
        three[i].port = 1000;
        three[i].serving = true;
        all[i] = &three[i];
    }
    three[2].terminating = true;
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    endpoints.endpoints = all;
    endpoints.n_endpoints = 3;
    endpoints.dns_name = STRING("db.example.com");
    endpoints.dns_port = 1000;
    put(&world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
    taken(&world);
    struct address found[3];
    for (int i = 0; i < 3; i++)
        assert_true(address_parse(i == 2 ? TEXT("fd00::9") : TEXT("10.1.2.3"), 0, &found[i]));
    assert_true(compile_dns_resolved(world.compile, TEXT("shop/cart:80"), found, 3));
    taken(&world);
    const struct backend *backend = backend_table_get(world.snapshot->backends, 0);
    assert_int_equal(backend->endpoint_count, 2);
    assert_int_equal(backend->reserved_count, 0);
    assert_true(text_is(backend->endpoints[0].text, "[fd00::9]:1000"));
    assert_true(text_is(backend->endpoints[1].text, "10.1.2.3:1000"));
    world_fini(&world);
}

static void policies_set_limits_of_all_or_one_listener(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    put_listener(&world, "default/web/b", 81, "");
    Nantian__Config__V1__Policy all = NANTIAN__CONFIG__V1__POLICY__INIT, one = all;
    all.idle_timeout_ms = 5000;
    all.body_bytes_max = 1000;
    one.listener = STRING(L);
    one.idle_timeout_ms = 7000;
    put(&world, RESOURCE_POLICY, "z/all", &all);
    put(&world, RESOURCE_POLICY, "a/one", &one);
    taken(&world);
    assert_int_equal(find_listener(world.snapshot, L)->limits.idle_ms, 7000);
    assert_int_equal(find_listener(world.snapshot, L)->limits.body_bytes_max, 1000);
    assert_int_equal(find_listener(world.snapshot, "default/web/b")->limits.idle_ms, 5000);
    drop(&world, RESOURCE_POLICY, "a/one");
    taken(&world);
    assert_int_equal(find_listener(world.snapshot, L)->limits.idle_ms, 5000);
    assert_non_null(find_route(world.snapshot, L, "h", "/cart"));
    world_fini(&world);
}

static void paths_are_compared_in_the_form_that_requests_have(void **state)
{
    (void)state;
    struct world world;
    base(&world);
    put_route(&world, L, "escaped", "/%7Euser/", "shop/cart:80");
    taken(&world);
    assert_non_null(find_route(world.snapshot, L, "h", "/~user"));
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resources_become_a_snapshot),
        cmocka_unit_test(a_change_shares_what_it_does_not_touch),
        cmocka_unit_test(removal_takes_a_resource_out),
        cmocka_unit_test(a_listener_that_changes_keeps_its_routes),
        cmocka_unit_test(listeners_of_one_port_share_a_binding),
        cmocka_unit_test(a_route_may_move_to_another_listener),
        cmocka_unit_test(slots_stay_with_a_resource_and_are_reused_when_nobody_remembers),
        cmocka_unit_test(a_refused_change_changes_nothing),
        cmocka_unit_test(a_new_certificate_reaches_the_listener_and_keeps_the_context),
        cmocka_unit_test(a_backend_with_tls_takes_a_new_ca),
        cmocka_unit_test(ending_endpoints_are_for_everybody_only_when_no_other_serves),
        cmocka_unit_test(hints_count_when_every_endpoint_has_some_and_one_is_for_our_zone),
        cmocka_unit_test(host_names_are_asked_for_and_answered),
        cmocka_unit_test(a_name_that_leads_elsewhere_never_leads_back_to_this_machine),
        cmocka_unit_test(an_endpoint_that_is_named_twice_is_one),
        cmocka_unit_test(policies_set_limits_of_all_or_one_listener),
        cmocka_unit_test(paths_are_compared_in_the_form_that_requests_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
