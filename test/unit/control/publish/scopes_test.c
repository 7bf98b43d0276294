/* A Gateway's data planes see its Listeners and Routes and what those refer to; nothing else. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/builder.h"
#include "control/publish/scopes.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/route.pb-c.h"
#include "schema/pack.h"
#include "test.h"

#define WEB    TEXT("default/web")
#define OTHER  TEXT("team/other")
#define ROUTE  TEXT("default/web/http|HTTPRoute/default/shop/0")
#define OTHERS TEXT("team/other/http|HTTPRoute/default/shop/0")

struct world {
    struct arena arena;
    struct scopes *scopes;
    struct builder turns; /* "default/web Backend a;" for each */
};

static void on_turned(void *owner, struct text gateway, enum resource_type type, struct text name)
{
    struct world *world = owner;
    builder_printf(&world->turns, TEXT_FMT " %s " TEXT_FMT ";", TEXT_ARG(gateway), types_name(type),
                   TEXT_ARG(name));
}

static int setup(void **state)
{
    static struct world world;
    world = (struct world){0};
    arena_init(&world.arena, 0);
    world.scopes = scopes_new(on_turned, &world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    scopes_free(world->scopes);
    builder_fini(&world->turns);
    arena_fini(&world->arena);
    return 0;
}

static void take(struct world *world, enum resource_type type, struct text name,
                 const void *message)
{
    struct delta_edit edit = {.type = type, .name = name, .removed = message == NULL};
    if (message != NULL)
        edit.bytes = schema_pack(message, &world->arena);
    builder_clear(&world->turns);
    scopes_take(world->scopes, &edit, 1);
}

/* protobuf-c's strings are not const. */
static char *writable(struct world *world, const char *string)
{
    return arena_string(&world->arena, text_of(string));
}

static void take_route(struct world *world, struct text name, const char *backend,
                       const char *mirror)
{
    Nantian__Config__V1__Mirror copy = NANTIAN__CONFIG__V1__MIRROR__INIT;
    copy.backend = writable(world, mirror);
    Nantian__Config__V1__Filter filter = NANTIAN__CONFIG__V1__FILTER__INIT;
    filter.kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_MIRROR;
    filter.mirror = &copy;
    Nantian__Config__V1__Filter *filters[] = {&filter};
    Nantian__Config__V1__WeightedBackend weighted = NANTIAN__CONFIG__V1__WEIGHTED_BACKEND__INIT;
    weighted.backend = writable(world, backend);
    Nantian__Config__V1__WeightedBackend *backends[] = {&weighted};
    Nantian__Config__V1__Route route = NANTIAN__CONFIG__V1__ROUTE__INIT;
    route.backends = backends;
    route.n_backends = 1;
    route.filters = filters;
    route.n_filters = mirror == NULL ? 0 : 1;
    take(world, RESOURCE_ROUTE, name, &route);
}

static void take_backend(struct world *world, const char *name, const char *endpoints,
                         const char *secret)
{
    Nantian__Config__V1__Backend__Tls tls = NANTIAN__CONFIG__V1__BACKEND__TLS__INIT;
    char *secrets[] = {writable(world, secret)};
    tls.ca_secrets = secrets;
    tls.n_ca_secrets = 1;
    Nantian__Config__V1__Backend backend = NANTIAN__CONFIG__V1__BACKEND__INIT;
    backend.endpoints = writable(world, endpoints);
    backend.tls = secret == NULL ? NULL : &tls;
    take(world, RESOURCE_BACKEND, text_of(name), &backend);
}

static bool sees(struct world *world, struct text gateway, enum resource_type type,
                 const char *name)
{
    return scopes_sees(world->scopes, gateway, type, text_of(name));
}

static void assert_turns(struct world *world, const char *expected)
{
    builder_add_char(&world->turns, '\0');
    assert_string_equal(builder_text(&world->turns).data, expected);
}

static void listeners_and_routes_are_seen_by_their_gateway_alone(void **state)
{
    struct world *world = *state;
    take_route(world, ROUTE, "a", NULL);
    assert_true(scopes_sees(world->scopes, WEB, RESOURCE_ROUTE, ROUTE));
    assert_false(scopes_sees(world->scopes, OTHER, RESOURCE_ROUTE, ROUTE));
    assert_true(sees(world, WEB, RESOURCE_LISTENER, "default/web/team/set/http"));
    assert_false(sees(world, WEB, RESOURCE_LISTENER, "default/web2/http"));
}

static void what_a_route_refers_to_is_seen_down_to_the_secrets(void **state)
{
    struct world *world = *state;
    take_backend(world, "a", "a", "ca");
    assert_turns(world, "");
    take_route(world, ROUTE, "a", "m");
    assert_turns(world, "default/web Backend m;default/web Backend a;"
                        "default/web Endpoints a;default/web Secret ca;");
    assert_true(sees(world, WEB, RESOURCE_SECRET, "ca"));
    assert_false(sees(world, OTHER, RESOURCE_SECRET, "ca"));
    take_backend(world, "m", "m", NULL);
    assert_turns(world, "default/web Endpoints m;");
}

static void a_listener_shows_its_certificates(void **state)
{
    struct world *world = *state;
    char *secrets[] = {writable(world, "tls")};
    Nantian__Config__V1__Listener__Tls tls = NANTIAN__CONFIG__V1__LISTENER__TLS__INIT;
    tls.secrets = secrets;
    tls.n_secrets = 1;
    char *clients[] = {writable(world, "clients")};
    tls.client_ca_secrets = clients;
    tls.n_client_ca_secrets = 1;
    Nantian__Config__V1__Listener listener = NANTIAN__CONFIG__V1__LISTENER__INIT;
    listener.tls = &tls;
    take(world, RESOURCE_LISTENER, TEXT("default/web/https"), &listener);
    assert_true(sees(world, WEB, RESOURCE_SECRET, "tls"));
    assert_true(sees(world, WEB, RESOURCE_SECRET, "clients"));
    take(world, RESOURCE_LISTENER, TEXT("default/web/https"), NULL);
    assert_false(sees(world, WEB, RESOURCE_SECRET, "tls"));
}

static void what_two_routes_share_goes_with_the_last_of_them(void **state)
{
    struct world *world = *state;
    take_backend(world, "a", "a", NULL);
    take_route(world, ROUTE, "a", NULL);
    take_route(world, TEXT("default/web/http|HTTPRoute/default/shop/1"), "a", NULL);
    take_route(world, OTHERS, "a", NULL);
    assert_turns(world, "team/other Backend a;team/other Endpoints a;");
    take(world, RESOURCE_ROUTE, ROUTE, NULL);
    assert_turns(world, "");
    take(world, RESOURCE_ROUTE, TEXT("default/web/http|HTTPRoute/default/shop/1"), NULL);
    assert_turns(world, "default/web Backend a;default/web Endpoints a;");
    assert_true(sees(world, OTHER, RESOURCE_ENDPOINTS, "a"));
}

static void a_change_tells_only_what_turned(void **state)
{
    struct world *world = *state;
    take_backend(world, "a", "a", NULL);
    take_route(world, ROUTE, "a", NULL);
    take_route(world, ROUTE, "a", NULL);
    assert_turns(world, "");
    take_backend(world, "a", "a", "ca");
    assert_turns(world, "default/web Secret ca;");
    take_route(world, ROUTE, "b", NULL);
    assert_turns(world, "default/web Backend b;default/web Backend a;default/web Endpoints a;"
                        "default/web Secret ca;");
}

static void a_shared_fleet_sees_what_its_gateways_see(void **state)
{
    struct world *world = *state;
    struct text fleet = TEXT("/small");
    take_backend(world, "a", "a", "ca");
    take_route(world, ROUTE, "a", NULL);
    assert_false(scopes_sees(world->scopes, fleet, RESOURCE_ROUTE, ROUTE));
    assert_false(sees(world, fleet, RESOURCE_SECRET, "ca"));
    scopes_move(world->scopes, WEB, fleet, true);
    assert_turns(world, "default/web Backend a;default/web Endpoints a;default/web Secret ca;"
                        "/small Route default/web/http|HTTPRoute/default/shop/0;"
                        "/small Backend a;/small Endpoints a;/small Secret ca;");
    assert_true(scopes_sees(world->scopes, fleet, RESOURCE_ROUTE, ROUTE));
    assert_true(scopes_sees(world->scopes, WEB, RESOURCE_ROUTE, ROUTE)); /* until they are gone */
    assert_true(sees(world, fleet, RESOURCE_SECRET, "ca"));
    take_route(world, OTHERS, "a", NULL);
    assert_false(scopes_sees(world->scopes, fleet, RESOURCE_ROUTE, OTHERS));
    scopes_move(world->scopes, OTHER, fleet, true);
    builder_clear(&world->turns);
    scopes_move(world->scopes, WEB, fleet, false);
    assert_turns(world, "/small Route default/web/http|HTTPRoute/default/shop/0;");
    assert_true(sees(world, fleet, RESOURCE_SECRET, "ca"));
    take_route(world, OTHERS, "b", NULL);
    assert_turns(world, "team/other Backend b;team/other Backend a;team/other Endpoints a;"
                        "team/other Secret ca;/small Backend b;/small Backend a;"
                        "/small Endpoints a;/small Secret ca;");
    scopes_move(world->scopes, OTHER, TEXT("/large"), true);
    assert_true(sees(world, fleet, RESOURCE_BACKEND, "b"));
    scopes_move(world->scopes, OTHER, fleet, false);
    assert_false(scopes_sees(world->scopes, fleet, RESOURCE_ROUTE, OTHERS));
    assert_false(sees(world, fleet, RESOURCE_BACKEND, "b"));
    assert_true(sees(world, TEXT("/large"), RESOURCE_BACKEND, "b"));
}

static void a_gateway_that_goes_or_comes_leaves_nothing_in_a_shared_fleet(void **state)
{
    struct world *world = *state;
    struct text fleet = TEXT("/small");
    scopes_move(world->scopes, WEB, fleet, true);
    take_backend(world, "a", "a", NULL);
    take_route(world, ROUTE, "a", NULL);
    assert_true(sees(world, fleet, RESOURCE_ENDPOINTS, "a"));
    builder_clear(&world->turns);
    scopes_move(world->scopes, WEB, fleet, false); /* before the edits that take its routes out */
    assert_turns(world, "/small Route default/web/http|HTTPRoute/default/shop/0;"
                        "/small Backend a;/small Endpoints a;");
    take(world, RESOURCE_ROUTE, ROUTE, NULL);
    assert_turns(world, "default/web Backend a;default/web Endpoints a;");
    assert_false(sees(world, fleet, RESOURCE_BACKEND, "a"));
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(listeners_and_routes_are_seen_by_their_gateway_alone),
        IN_WORLD(what_a_route_refers_to_is_seen_down_to_the_secrets),
        IN_WORLD(a_listener_shows_its_certificates),
        IN_WORLD(what_two_routes_share_goes_with_the_last_of_them),
        IN_WORLD(a_change_tells_only_what_turned),
        IN_WORLD(a_shared_fleet_sees_what_its_gateways_see),
        IN_WORLD(a_gateway_that_goes_or_comes_leaves_nothing_in_a_shared_fleet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
