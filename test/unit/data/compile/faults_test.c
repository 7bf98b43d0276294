/* Every refusal in words: type, resource, field, what; and that the next good change is taken. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "compile_make.h"
#include "data/compile/pem.h"

#define L        "default/web/http"
#define LISTENER "nantian.config.v1.Listener " L " | "
#define ROUTE    "nantian.config.v1.Route " L "|HTTPRoute/shop/r/0 | "
#define BACKEND  "nantian.config.v1.Backend shop/b:80 | "
#define ENDPOINT "nantian.config.v1.Endpoints shop/cart:80 | "
#define SECRET   "nantian.config.v1.Secret default/s | "

static int setup(void **state)
{
    struct world *world = memory_new(struct world);
    world_init(world);
    put_listener(world, L, 8080, "");
    put_backend(world, "shop/cart:80");
    put_route(world, L, "cart", "/cart", "shop/cart:80");
    taken(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    put_route(world, L, "last", "/last", "shop/cart:80");
    taken(world); /* whatever was refused left no trace */
    assert_non_null(find_route(world->snapshot, L, "h", "/last"));
    assert_non_null(find_route(world->snapshot, L, "h", "/cart"));
    world_fini(world);
    free(world);
    return 0;
}

static void refuse_listener(struct world *world, const Listener *listener, const char *words)
{
    put(world, RESOURCE_LISTENER, L, listener);
    refused(world, words);
}

static void listeners_are_judged(void **state)
{
    struct world *world = *state;
    Listener listener = make_listener(0, "");
    refuse_listener(world, &listener, LISTENER "port | is not between 1 and 65535");
    listener.port = 65536;
    refuse_listener(world, &listener, LISTENER "port | is not between 1 and 65535");
    listener = make_listener(80, "Example.com");
    refuse_listener(world, &listener, LISTENER "hostname | is not a host name in lower case");
    listener = make_listener(80, "*");
    refuse_listener(world, &listener, LISTENER "hostname | is not a host name in lower case");
    listener = make_listener(80, "");
    listener.protocol = 9;
    refuse_listener(world, &listener, LISTENER "protocol | is none that this proxy knows");
    listener.protocol = 0;
    refuse_listener(world, &listener, LISTENER "protocol | is none that this proxy knows");
    listener = make_listener(80, "");
    char *addresses[] = {STRING("10.0.0.1"), STRING("localhost")};
    listener.addresses = addresses;
    listener.n_addresses = 2;
    refuse_listener(world, &listener, LISTENER "addresses[1] | is not an IP address");
    listener = make_listener(80, "");
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTPS;
    refuse_listener(world, &listener, LISTENER "tls.secrets | names no certificate");
    Nantian__Config__V1__Listener__Tls tls = NANTIAN__CONFIG__V1__LISTENER__TLS__INIT;
    listener.tls = &tls;
    refuse_listener(world, &listener, LISTENER "tls.secrets | names no certificate");
    char *secrets[] = {STRING("default/none")};
    tls.secrets = secrets;
    tls.n_secrets = 1;
    refuse_listener(world, &listener,
                    LISTENER "tls.secrets[0] | there is no Secret \"default/none\"");
    put_secret(world, "default/none", "", "", PEM_CHAIN_A);
    refuse_listener(world, &listener,
                    LISTENER "tls.secrets[0] | names a secret without a certificate");
    tls.passthrough = true;
    refuse_listener(world, &listener,
                    LISTENER "tls.passthrough | is for listeners of protocol TLS alone");
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTP;
    refuse_listener(world, &listener, LISTENER "tls | is set, but the protocol has no TLS");
}

static void listeners_that_cannot_share_a_socket_are_refused(void **state)
{
    struct world *world = *state;
    put_listener(world, "default/web/z", 8080, "");
    refused(world, "nantian.config.v1.Listener default/web/z | hostname | "
                   "is the same as that of Listener \"" L "\" on the same socket");
    Listener listener = make_listener(8080, "a.example.com");
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__TCP;
    put(world, RESOURCE_LISTENER, "default/web/z", &listener);
    refused(world, "nantian.config.v1.Listener default/web/z | protocol | "
                   "cannot share with Listener \"" L "\" on the same socket");
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__HTTP;
    listener.proxy_protocol = true;
    put(world, RESOURCE_LISTENER, "default/web/z", &listener);
    refused(world, "nantian.config.v1.Listener default/web/z | proxy_protocol | "
                   "is not the same as that of Listener \"" L "\" on the same socket");
    /* UDP and TCP have ports of their own. */
    listener.protocol = NANTIAN__CONFIG__V1__LISTENER__PROTOCOL__UDP;
    put(world, RESOURCE_LISTENER, "default/web/z", &listener);
    taken(world);
}

static void refuse_route(struct world *world, const struct make_route *route, const char *words)
{
    put_route_message(world, route);
    refused(world, words);
}

static void routes_are_judged(void **state)
{
    struct world *world = *state;
    struct make_route route;
    route_init(&route, L, "r", "/r", "shop/none:80");
    refuse_route(world, &route, ROUTE "backends[0].backend | there is no Backend \"shop/none:80\"");
    route_init(&route, L, "r", "r", "shop/cart:80");
    refuse_route(world, &route, ROUTE "matches[0].path | \"r\" is not a path (target_form)");
    route_init(&route, L, "r", "/r", "shop/cart:80");
    route.path.type = 7;
    refuse_route(world, &route,
                 ROUTE "matches[0].path | is of a type that this proxy does not know");
    route.path.type = NANTIAN__CONFIG__V1__ROUTE__PATH__TYPE__REGEX;
    route.path.value = STRING("/(");
    refuse_route(world, &route,
                 ROUTE "matches[0].path | \"/(\" is no regular expression: error: unclosed group");
    route_init(&route, L, "r", "/r", "shop/cart:80");
    route.hostnames[0] = STRING("UPPER.example");
    route.message.n_hostnames = 1;
    refuse_route(world, &route,
                 ROUTE "hostnames[0] | \"UPPER.example\" is not a host name in lower case");
    route_init(&route, L, "r", "/r", "shop/cart:80");
    route.message.kind = STRING("Ingress");
    refuse_route(world, &route, ROUTE "kind | \"Ingress\" is no kind of route");
    route_init(&route, L, "r", "/r", "shop/cart:80");
    route.backend.weight = 1000001;
    refuse_route(world, &route, ROUTE "backends[0].weight | 1000001 is above 1000000");
    route.backend.weight = 1;
    Nantian__Config__V1__Route__Retry retry = NANTIAN__CONFIG__V1__ROUTE__RETRY__INIT;
    uint32_t codes[] = {503, 200};
    retry.codes = codes;
    retry.n_codes = 2;
    route.message.retry = &retry;
    refuse_route(world, &route, ROUTE "retry.codes[1] | 200 is not between 400 and 599");
    retry.n_codes = 1;
    retry.attempts = 101;
    refuse_route(world, &route, ROUTE "retry.attempts | 101 is above 100");
    route.message.retry = NULL;
    uint8_t key[32] = {0};
    Nantian__Config__V1__Session session = NANTIAN__CONFIG__V1__SESSION__INIT;
    session.key = (ProtobufCBinaryData){sizeof(key), key};
    route.message.session = &session;
    refuse_route(world, &route, ROUTE "session | wants either a cookie or a header");
    session.cookie = STRING("a;b");
    session.path = STRING("/");
    refuse_route(world, &route, ROUTE "session.cookie | is no name");
    session.cookie = STRING("a");
    session.path = STRING("/; Domain=example.com");
    refuse_route(world, &route, ROUTE "session.path | is no path");
    session.path = STRING("/");
    session.permanent = true;
    refuse_route(world, &route, ROUTE "session.absolute_timeout_s | is 0 for a permanent cookie");
    session.permanent = false;
    session.key.len = 31;
    refuse_route(world, &route, ROUTE "session.key | is not of 32 bytes");
    session.key.len = 32;
    session.cookie = STRING("");
    session.header = STRING("content-length");
    refuse_route(world, &route,
                 ROUTE "session.header | names a field that has a meaning of its own");
    Nantian__Config__V1__Route__Field field = NANTIAN__CONFIG__V1__ROUTE__FIELD__INIT;
    Nantian__Config__V1__Route__Field *fields[] = {&field};
    route_init(&route, L, "r", "/r", "shop/cart:80");
    route.match.headers = fields;
    route.match.n_headers = 1;
    refuse_route(world, &route, ROUTE "matches[0].headers[0].name | is empty");
    route_init(&route, "no/such/listener", "r", "/r", "shop/cart:80");
    refuse_route(world, &route,
                 "nantian.config.v1.Route no/such/listener|HTTPRoute/shop/r/0 | listener | "
                 "there is no Listener \"no/such/listener\"");
}

static void filters_are_judged(void **state)
{
    struct world *world = *state;
    struct make_route route;
    route_init(&route, L, "r", "/r", "shop/cart:80");
    route.message.n_filters = 1;
    refuse_route(world, &route, ROUTE "filters[0] | is no filter that this proxy knows");
    Nantian__Config__V1__Mirror mirror = NANTIAN__CONFIG__V1__MIRROR__INIT;
    route.filter.kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_MIRROR;
    route.filter.mirror = &mirror;
    mirror.backend = STRING("shop/none:80");
    refuse_route(world, &route,
                 ROUTE "filters[0].mirror.backend | there is no Backend \"shop/none:80\"");
    mirror.backend = STRING("shop/cart:80");
    mirror.numerator = 3;
    mirror.denominator = 2;
    refuse_route(world, &route, ROUTE "filters[0].mirror.numerator | is above the denominator");
    mirror.numerator = 1;
    put_backend(world, "shop/audit:80");
    mirror.backend = STRING("shop/audit:80");
    put_route_message(world, &route);
    taken(world);
    drop(world, RESOURCE_BACKEND, "shop/audit:80"); /* a mirror is a use */
    refused(world, "nantian.config.v1.Backend shop/audit:80 |  | "
                   "is removed, but 1 resources still refer to it");
    Nantian__Config__V1__Redirect redirect = NANTIAN__CONFIG__V1__REDIRECT__INIT;
    redirect.status = 200;
    route.filter.kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_REDIRECT;
    route.filter.redirect = &redirect;
    refuse_route(world, &route,
                 ROUTE "filters[0].redirect.status | is none of 301, 302, 303, 307, 308");
    Nantian__Config__V1__RateLimit limit = NANTIAN__CONFIG__V1__RATE_LIMIT__INIT;
    limit.requests = limit.window_ms = 5;
    Filter good = NANTIAN__CONFIG__V1__FILTER__INIT, *both[] = {&good, &route.filter};
    good.kind_case = NANTIAN__CONFIG__V1__FILTER__KIND_RATE_LIMIT;
    good.rate_limit = &limit;
    route.backend.filters = both; /* what the good one holds is given back */
    route.backend.n_filters = 2;
    route.message.n_filters = 0;
    refuse_route(world, &route,
                 ROUTE
                 "backends[0].filters[1].redirect.status | is none of 301, 302, 303, 307, 308");
}

static void backends_and_endpoints_are_judged(void **state)
{
    struct world *world = *state;
    Backend backend = NANTIAN__CONFIG__V1__BACKEND__INIT;
    backend.endpoints = STRING("shop/none:80");
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "endpoints | there is no Endpoints \"shop/none:80\"");
    backend.endpoints = STRING("shop/cart:80");
    backend.protocol = 9;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "protocol | is none that this proxy knows");
    backend.protocol = 0;
    backend.balance = 9;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "balance | is none that this proxy knows");
    backend.balance = 0;
    backend.fail_status = 200;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "fail_status | is not between 400 and 599");
    backend.fail_status = 0;
    backend.panic_percent = 101;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "panic_percent | is above 100");
    backend.panic_percent = 0;
    Nantian__Config__V1__Backend__Ejection ejection = NANTIAN__CONFIG__V1__BACKEND__EJECTION__INIT;
    backend.ejection = &ejection;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "ejection.base_ms | is 0");
    backend.ejection = NULL;
    Nantian__Config__V1__Backend__HealthCheck health =
        NANTIAN__CONFIG__V1__BACKEND__HEALTH_CHECK__INIT;
    health.interval_ms = health.timeout_ms = health.healthy = 1;
    health.path = STRING("/");
    backend.health_check = &health;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "health_check | has a time or a threshold of 0");
    health.unhealthy = 1;
    health.path = STRING("/a b");
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "health_check.path | is no path");
    backend.health_check = NULL;
    Nantian__Config__V1__Backend__Hash hash = NANTIAN__CONFIG__V1__BACKEND__HASH__INIT;
    hash.key = NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__COOKIE;
    backend.hash = &hash;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "hash.name | is empty");
    backend.hash = NULL;
    Nantian__Config__V1__Backend__Tls tls = NANTIAN__CONFIG__V1__BACKEND__TLS__INIT;
    backend.tls = &tls;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "tls.server_name | is empty, so no certificate could be checked");
    tls.server_name = STRING("a.example.com");
    char *cas[] = {STRING("default/none")};
    tls.ca_secrets = cas;
    tls.n_ca_secrets = 1;
    put(world, RESOURCE_BACKEND, "shop/b:80", &backend);
    refused(world, BACKEND "tls.ca_secrets[0] | there is no Secret \"default/none\"");
    put_endpoints(world, "shop/cart:80", "10.0.0.1", 0);
    refused(world, ENDPOINT "endpoints[0].port | is not between 1 and 65535");
    put_endpoints(world, "shop/cart:80", "example.com", 80);
    refused(world, ENDPOINT "endpoints[0].address | is not an IP address");
    Endpoints endpoints = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    endpoints.dns_name = STRING("bad name");
    endpoints.dns_port = 80;
    put(world, RESOURCE_ENDPOINTS, "shop/cart:80", &endpoints);
    refused(world, ENDPOINT "dns_name | is not a host name");
}

static void secrets_are_judged(void **state)
{
    struct world *world = *state;
    put_secret(world, "default/s", "", "", "");
    refused(world, SECRET "certificate_chain | holds neither a certificate nor a CA");
    put_secret(world, "default/s", PEM_CHAIN_A, PEM_KEY_B, "");
    assert_false(apply(world));
    assert_non_null(strstr(world->fault, SECRET "private_key | "));
    put_secret(world, "default/s", "garbage", PEM_KEY_A, "");
    assert_false(apply(world));
    put_secret(world, "default/s", PEM_CHAIN_A, "", "");
    assert_false(apply(world));
    put_secret(world, "default/s", "", "", "garbage");
    assert_false(apply(world));
    assert_non_null(strstr(world->fault, SECRET "ca | "));
    put_secret(world, "default/s", PEM_CHAIN_A, PEM_KEY_A, PEM_CHAIN_B);
    taken(world);
}

static void what_is_in_use_cannot_be_removed(void **state)
{
    struct world *world = *state;
    drop(world, RESOURCE_LISTENER, L);
    refused(world,
            "nantian.config.v1.Listener " L " |  | is removed, but 1 resources still refer to it");
    drop(world, RESOURCE_BACKEND, "shop/cart:80");
    refused(world, "nantian.config.v1.Backend shop/cart:80 |  | "
                   "is removed, but 1 resources still refer to it");
    drop(world, RESOURCE_ENDPOINTS, "shop/cart:80");
    assert_false(apply(world));
}

static void changes_that_make_no_sense_are_refused(void **state)
{
    struct world *world = *state;
    put_listener(world, L, 80, "");
    put_listener(world, L, 81, "");
    refused(world, LISTENER " | stands in this change twice");
    world->edits[world->count++] = (struct compile_edit){
        .type = RESOURCE_ROUTE, .name = TEXT(L "|HTTPRoute/shop/r/0"), .bytes = TEXT("\xff\xff")};
    refused(world, ROUTE " | the bytes are no message of this type (protocol)");
    world->edits[world->count++] =
        (struct compile_edit){.type = RESOURCE_SNAPSHOT, .name = TEXT("snapshot")};
    refused(world, "snapshot |  | resource type 6 is none that is compiled");
}

static void a_fault_tells_type_and_resource_apart(void **state)
{
    (void)state;
    struct fault fault = {.where = TEXT("nantian.config.v1.Route a|b c")};
    struct text type, resource;
    compile_fault_split(&fault, &type, &resource);
    assert_true(text_is(type, "nantian.config.v1.Route"));
    assert_true(text_is(resource, "a|b c"));
}

#define judged(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        judged(listeners_are_judged),
        judged(listeners_that_cannot_share_a_socket_are_refused),
        judged(routes_are_judged),
        judged(filters_are_judged),
        judged(backends_and_endpoints_are_judged),
        judged(secrets_are_judged),
        judged(what_is_in_use_cannot_be_removed),
        judged(changes_that_make_no_sense_are_refused),
        cmocka_unit_test(a_fault_tells_type_and_resource_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
