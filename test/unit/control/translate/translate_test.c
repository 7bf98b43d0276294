/* Translation piece by piece must end where a whole translation ends, whatever came before. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"
#include "control/translate/terms/capability.h"
#include "control/translate/translate.h"
#include "schema/digest.h"
#include "test.h"

#define API "apiVersion: gateway.networking.k8s.io/v1\nkind: "

struct world {
    struct random random;
    struct store *store;
    struct outcome *outcome;
    struct map mirror; /* "type name" -> bytes, from edits alone */
    struct map moved;  /* "gateway/class": who is with which fleet, from edits alone */
    struct arena arena;
    struct translate_options options;
};

static const struct text ADDRESSES[] = {{"192.0.2.1", 9}};

static uint32_t pick(struct world *world, uint32_t count)
{
    return (uint32_t)random_below(&world->random, count);
}

static const char *one_of(struct world *world, const char *const *items, uint32_t count)
{
    return items[pick(world, count)];
}

static struct kind_object *decode(struct text yaml)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct faults faults;
    faults_init(&faults, &arena);
    struct value_documents documents;
    assert_true(value_parse_yaml(yaml, TEXT("x.yaml"), &arena, &documents, &faults));
    struct kind_objects objects = {0};
    kind_decode(documents.items[0], TEXT("x.yaml"), KIND_LENIENT, &objects, &faults);
    if (objects.count != 1)
        print_error(TEXT_FMT "\n", TEXT_ARG(yaml));
    assert_int_equal(objects.count, 1);
    struct kind_object *object = kind_object_ref(objects.items[0]);
    kind_objects_fini(&objects);
    faults_fini(&faults);
    arena_fini(&arena);
    return object;
}

static const char *const NAMESPACES[] = {"a", "b"};
static const char *const HOSTS[] = {"", "x.example.com", "*.example.com", "y.example.org"};
static const char *const FROM[] = {"Same", "All",
                                   "{from: Selector, selector: {matchLabels: {t: x}}}"};

static void add_from(struct world *world, struct builder *out, const char *field)
{
    const char *from = one_of(world, FROM, 3);
    builder_printf(out, from[0] == '{' ? "%s: {namespaces: %s}" : "%s: {namespaces: {from: %s}}",
                   field, from);
}

static void add_listeners(struct world *world, struct builder *out)
{
    uint32_t count = 1 + pick(world, 3);
    builder_add_string(out, "  listeners:\n");
    for (uint32_t i = 0; i < count; i++) {
        bool is_tls = pick(world, 3) == 0;
        builder_printf(out, "  - {name: l%u, port: %u, protocol: %s, hostname: \"%s\", ", i,
                       80 + pick(world, 3),
                       is_tls                ? "HTTPS"
                       : pick(world, 8) == 0 ? "TCP"
                                             : "HTTP",
                       one_of(world, HOSTS, 4));
        if (is_tls)
            builder_printf(out, "tls: {certificateRefs: [{name: s%u, namespace: %s}]}, ",
                           pick(world, 2), one_of(world, NAMESPACES, 2));
        add_from(world, out, "allowedRoutes");
        builder_add_string(out, "}\n");
    }
}

static void make_gateway(struct world *world, struct builder *out)
{
    builder_printf(out, API "Gateway\nmetadata: {name: g%u, namespace: %s}\nspec:\n",
                   pick(world, 3), one_of(world, NAMESPACES, 2));
    builder_printf(out, "  gatewayClassName: c%u\n  ", pick(world, 2));
    add_from(world, out, "allowedListeners");
    builder_add_char(out, '\n');
    if (pick(world, 4) == 0)
        builder_printf(out, "  addresses: [{value: 192.0.2.%u}]\n", 1 + pick(world, 2));
    add_listeners(world, out);
}

static void make_set(struct world *world, struct builder *out)
{
    builder_printf(out,
                   API
                   "ListenerSet\nmetadata: {name: ls%u, namespace: %s, creationTimestamp: "
                   "\"2024-01-0%uT00:00:00Z\"}\nspec:\n  parentRef: {name: g%u, namespace: %s}\n",
                   pick(world, 2), one_of(world, NAMESPACES, 2), 1 + pick(world, 3), pick(world, 3),
                   one_of(world, NAMESPACES, 2));
    add_listeners(world, out);
}

static void make_route(struct world *world, struct builder *out)
{
    static const char *const KINDS[] = {"HTTPRoute", "HTTPRoute", "HTTPRoute", "GRPCRoute",
                                        "TCPRoute"};
    const char *kind = one_of(world, KINDS, 5);
    builder_printf(out, API "%s\nmetadata: {name: r%u, namespace: %s}\nspec:\n  parentRefs:\n",
                   kind, pick(world, 6), one_of(world, NAMESPACES, 2));
    uint32_t parents = 1 + pick(world, 2);
    for (uint32_t i = 0; i < parents; i++) {
        bool is_set = pick(world, 3) == 0;
        builder_printf(out, "  - {kind: %s, name: %s%u, namespace: %s",
                       is_set ? "ListenerSet" : "Gateway", is_set ? "ls" : "g", pick(world, 3),
                       one_of(world, NAMESPACES, 2));
        if (pick(world, 3) == 0)
            builder_printf(out, ", sectionName: l%u", pick(world, 3));
        builder_add_string(out, "}\n");
    }
    const char *host = one_of(world, HOSTS, 4);
    if (host[0] != '\0' && kind[0] != 'T')
        builder_printf(out, "  hostnames: [\"%s\"]\n", host);
    builder_add_string(out, "  rules:\n");
    uint32_t rules = 1 + pick(world, 2);
    for (uint32_t i = 0; i < rules; i++) {
        builder_printf(
            out, "  - backendRefs: [{name: v%u, namespace: %s, port: 80}, {name: v%u, port: 80}]\n",
            pick(world, 3), one_of(world, NAMESPACES, 2), pick(world, 3));
        if (kind[0] == 'H' && pick(world, 4) == 0)
            builder_printf(out,
                           "    filters: [{type: ExtensionRef, extensionRef: {group: "
                           "gateway.nantian.dev, kind: SecurityPolicy, name: p%u}}]\n",
                           pick(world, 2));
    }
}

static void make_service(struct world *world, struct builder *out)
{
    builder_printf(out,
                   "apiVersion: v1\nkind: Service\nmetadata: {name: v%u, namespace: %s}\nspec:\n"
                   "  ports: [{name: p, port: %u, appProtocol: %s}]\n",
                   pick(world, 3), one_of(world, NAMESPACES, 2), pick(world, 4) == 0 ? 81 : 80,
                   pick(world, 4) == 0 ? "kubernetes.io/h2c" : "http");
}

static void make_front(struct world *world, struct builder *out)
{
    static const char *const FRONTED[] = {"gateway: g1", "gateway-class: c0", "gateway-class: c1"};
    builder_printf(out,
                   "apiVersion: v1\nkind: Service\nmetadata: {name: f%u, namespace: %s, "
                   "annotations: {gateway.nantian.dev/%s}}\nspec: {type: LoadBalancer, ports: "
                   "[{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.%u}]}}\n",
                   pick(world, 2), one_of(world, NAMESPACES, 2), one_of(world, FRONTED, 3),
                   pick(world, 9));
}

static void make_parameters(struct world *world, struct builder *out)
{
    builder_printf(out,
                   "apiVersion: gateway.nantian.dev/v1alpha1\nkind: GatewayParameters\nmetadata: "
                   "{name: q, namespace: a}\nspec: {fleet: %s}\n",
                   pick(world, 3) == 0 ? "PerGateway" : "Shared");
}

static void make_slice(struct world *world, struct builder *out)
{
    builder_printf(out,
                   "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e%u, "
                   "namespace: %s, labels: {kubernetes.io/service-name: %s%u}}\naddressType: "
                   "IPv4\nports: [{name: p, port: 3000}]\nendpoints: [{addresses: [10.0.0.%u], "
                   "conditions: {ready: %s}}]\n",
                   pick(world, 3), one_of(world, NAMESPACES, 2), pick(world, 2) == 0 ? "f" : "v",
                   pick(world, 3), pick(world, 9), pick(world, 2) == 0 ? "true" : "false");
}

static void make_secret(struct world *world, struct builder *out)
{
    builder_printf(
        out,
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s%u, namespace: %s}\nstringData:\n"
        "  tls.crt: \"%s %u\"\n  tls.key: \"-----BEGIN PRIVATE KEY-----\"\n",
        pick(world, 2), one_of(world, NAMESPACES, 2),
        pick(world, 4) == 0 ? "nothing" : "-----BEGIN CERTIFICATE-----", pick(world, 9));
}

static void make_config_map(struct world *world, struct builder *out)
{
    builder_printf(out,
                   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: %s}\ndata:\n"
                   "  ca.crt: \"%s %u\"\n",
                   one_of(world, NAMESPACES, 2),
                   pick(world, 4) == 0 ? "nothing" : "-----BEGIN CERTIFICATE-----", pick(world, 9));
}

static void make_grant(struct world *world, struct builder *out)
{
    static const char *const KINDS[] = {"HTTPRoute", "Gateway", "ListenerSet"};
    bool is_secret = pick(world, 2) == 0;
    builder_printf(out,
                   API "ReferenceGrant\nmetadata: {name: rg%u, namespace: %s}\nspec:\n  from: "
                       "[{group: gateway.networking.k8s.io, kind: %s, namespace: %s}]\n  to: "
                       "[{group: \"\", kind: %s}]\n",
                   pick(world, 3), one_of(world, NAMESPACES, 2), one_of(world, KINDS, 3),
                   one_of(world, NAMESPACES, 2), is_secret ? "Secret" : "Service");
}

static void make_namespace(struct world *world, struct builder *out)
{
    builder_printf(out, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {t: %s}}\n",
                   one_of(world, NAMESPACES, 2), pick(world, 2) == 0 ? "x" : "z");
}

static void make_class(struct world *world, struct builder *out)
{
    builder_printf(out, API "GatewayClass\nmetadata: {name: c%u}\nspec: {controllerName: %s%s}\n",
                   pick(world, 2), pick(world, 4) == 0 ? "example.com/other" : TRANSLATE_CONTROLLER,
                   pick(world, 2) == 0 ? ", parametersRef: {group: gateway.nantian.dev, kind: "
                                         "GatewayParameters, namespace: a, name: q}"
                                       : "");
}

static void make_security_policy(struct world *world, struct builder *out)
{
    static const char *const TARGETS[] = {
        "", "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r1}",
        "{group: gateway.networking.k8s.io, kind: Gateway, name: g1}"};
    builder_printf(
        out,
        "apiVersion: gateway.nantian.dev/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: "
        "p%u, namespace: %s}\nspec:\n  targetRefs: [%s]\n  rateLimit: "
        "[{requestsPerSecond: %u, onLimit: %s}]\n",
        pick(world, 2), one_of(world, NAMESPACES, 2), one_of(world, TARGETS, 3), pick(world, 9),
        pick(world, 5) == 0 ? "queue" : "reject");
}

static void make_route_policy(struct world *world, struct builder *out)
{
    static const char *const TARGETS[] = {
        "", "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r1}",
        "{group: gateway.networking.k8s.io, kind: Gateway, name: g1}"};
    builder_printf(out,
                   "apiVersion: gateway.nantian.dev/v1alpha1\nkind: RoutePolicy\nmetadata: {name: "
                   "p%u, namespace: %s}\nspec:\n  targetRefs: [%s]\n  default: {timeout: {request: "
                   "%us}}\n",
                   pick(world, 2), one_of(world, NAMESPACES, 2), one_of(world, TARGETS, 3),
                   1 + pick(world, 9));
}

static void make_tls_policy(struct world *world, struct builder *out)
{
    builder_printf(out,
                   API
                   "BackendTLSPolicy\nmetadata: {name: t%u, namespace: %s, creationTimestamp: "
                   "\"2024-01-0%uT00:00:00Z\"}\nspec:\n  targetRefs: [{group: \"\", kind: Service, "
                   "name: v%u%s}]\n  validation: {hostname: h%u.example.com, caCertificateRefs: "
                   "[{group: \"\", kind: ConfigMap, name: ca}]}\n",
                   pick(world, 3), one_of(world, NAMESPACES, 2), 1 + pick(world, 3), pick(world, 3),
                   pick(world, 2) == 0 ? ", sectionName: p" : "", pick(world, 9));
}

static struct kind_object *make_any(struct world *world)
{
    static void (*const MAKERS[])(struct world * world, struct builder * out) = {
        make_gateway,      make_gateway,    make_set,       make_set,        make_route,
        make_route,        make_route,      make_route,     make_service,    make_service,
        make_slice,        make_slice,      make_secret,    make_grant,      make_grant,
        make_class,        make_tls_policy, make_namespace, make_config_map, make_security_policy,
        make_route_policy, make_front,      make_parameters};
    struct builder out = {0};
    MAKERS[pick(world, ARRAY_LEN(MAKERS))](world, &out);
    struct kind_object *object = decode(builder_text(&out));
    builder_fini(&out);
    return object;
}

static struct text mirror_key(struct world *world, enum resource_type type, struct text name)
{
    return arena_printf(&world->arena, "%d " TEXT_FMT, (int)type, TEXT_ARG(name));
}

/* What a data plane would hold that has only ever seen edits. */
static void take_edits(struct world *world, const struct outcome_edits *edits)
{
    struct map seen;
    map_init(&seen);
    for (size_t i = 0; i < edits->resource_count; i++) {
        const struct outcome_resource *edit = &edits->resources[i];
        struct text key = mirror_key(world, edit->type, edit->name);
        assert_null(map_put(&seen, key, world)); /* each once */
        if (edit->bytes.data == NULL) {
            assert_non_null(map_remove(&world->mirror, key));
            continue;
        }
        struct text *bytes = arena_new(&world->arena, struct text);
        *bytes = arena_text(&world->arena, edit->bytes);
        map_put(&world->mirror, key, bytes);
    }
    map_fini(&seen);
    for (size_t i = 0; i < edits->move_count; i++) {
        const struct outcome_move *move = &edits->moves[i];
        struct text key = arena_printf(&world->arena, TEXT_FMT TEXT_FMT, TEXT_ARG(move->gateway),
                                       TEXT_ARG(move->fleet));
        if (move->joins)
            assert_null(map_put(&world->moved, key, world));
        else
            assert_non_null(map_remove(&world->moved, key));
    }
}

/* Moves tell who is with which shared fleet; who left one may be with it as well, until it is
 * served elsewhere, which nobody is here. */
static void check_moved(struct world *world)
{
    struct map_entry *entry;
    struct store_list gateways = store_list(world->store, KIND_GATEWAY);
    for (size_t at = 0; map_next(&world->moved, &at, &entry);) {
        struct text name = entry->key, namespace = TEXT_NONE, gateway = TEXT_NONE;
        assert_true(text_split(&name, '/', &namespace) && text_split(&name, '/', &gateway));
        assert_true(outcome_fleet(world->outcome, namespace, gateway).len > 0);
    }
    for (size_t i = 0; i < gateways.count; i++) {
        const struct kind_meta *meta = &gateways.items[i]->meta;
        struct text now = outcome_fleet(world->outcome, meta->namespace, meta->name);
        if (now.len == 0 || now.data[0] != '/')
            continue;
        struct text key =
            arena_printf(&world->arena, TEXT_FMT "/" TEXT_FMT TEXT_FMT, TEXT_ARG(meta->namespace),
                         TEXT_ARG(meta->name), TEXT_ARG(now));
        assert_non_null(map_get(&world->moved, key));
    }
}

static void check_mirror(struct world *world)
{
    struct arena arena;
    arena_init(&arena, 0);
    size_t count;
    struct outcome_resource *all = outcome_resources(world->outcome, &arena, &count);
    struct digest sums[RESOURCE_TYPES] = {0};
    uint64_t counts[RESOURCE_TYPES] = {0};
    assert_int_equal(count, world->mirror.count);
    for (size_t i = 0; i < count; i++) {
        const struct text *bytes =
            map_get(&world->mirror, mirror_key(world, all[i].type, all[i].name));
        assert_non_null(bytes);
        assert_true(text_equal(*bytes, all[i].bytes));
        schema_digest_add(&sums[all[i].type], all[i].digest);
        counts[all[i].type]++;
        const struct store_key *owner = outcome_owner(world->outcome, all[i].type, all[i].name);
        assert_non_null(owner);
    }
    for (int type = 0; type < RESOURCE_TYPES; type++) {
        uint64_t kept;
        struct digest digest = outcome_digest(world->outcome, (enum resource_type)type, &kept);
        assert_true(digest_equal(digest, sums[type]));
        assert_int_equal(kept, counts[type]);
    }
    arena_fini(&arena);
}

static void print_all(const struct outcome *outcome, struct builder *out)
{
    struct json json;
    json_init(&json, out, 1);
    outcome_resources_json(outcome, &json);
    builder_add_char(out, '\n');
    json_init(&json, out, 1);
    outcome_status_json(outcome, &json);
    builder_add_char(out, '\n');
    json_init(&json, out, 1);
    outcome_faults_json(outcome, &json);
}

static void check_same(struct world *world, uint64_t seed, int step)
{
    struct outcome *whole = translate(world->store, &world->options);
    struct builder wanted = {0}, got = {0};
    print_all(whole, &wanted);
    print_all(world->outcome, &got);
    if (!text_equal(builder_text(&wanted), builder_text(&got))) {
        size_t at = 0;
        while (at < wanted.len && at < got.len && wanted.data[at] == got.data[at])
            at++;
        at -= MIN(at, 300);
        print_error("seed %llu step %d\n  whole: %.600s\n  piecewise: %.600s\n",
                    (unsigned long long)seed, step, wanted.data + at, got.data + at);
        fail();
    }
    builder_fini(&wanted);
    builder_fini(&got);
    outcome_free(whole);
}

static void world_init(struct world *world, uint64_t seed)
{
    bool is_cluster = seed % 3 == 0;
    *world = (struct world){.options = {.standalone = !is_cluster,
                                        .addresses = ADDRESSES,
                                        .address_count = is_cluster ? 0 : 1,
                                        .capabilities = seed % 2 == 0 ? CAPABILITY_ALL : 0}};
    random_seed(&world->random, seed);
    arena_init(&world->arena, 0);
    map_init(&world->mirror);
    map_init(&world->moved);
    world->store = store_new();
    world->outcome = translate(world->store, &world->options);
    take_edits(world, outcome_edits(world->outcome));
}

static void world_fini(struct world *world)
{
    outcome_free(world->outcome);
    store_free(world->store);
    map_fini(&world->mirror);
    map_fini(&world->moved);
    arena_fini(&world->arena);
}

static const struct outcome_edits *apply(struct world *world)
{
    struct store_changes changes = store_changes(world->store);
    const struct outcome_edits *edits = translate_apply(world->outcome, world->store, &changes);
    store_changes_clear(world->store);
    take_edits(world, edits);
    return edits;
}

static void change_something(struct world *world)
{
    struct kind_object *object = make_any(world);
    if (pick(world, 4) == 0) {
        (void)store_remove(world->store, (struct store_key){object->id, object->meta.namespace,
                                                            object->meta.name});
        kind_object_unref(object);
    } else {
        (void)store_put(world->store, object, 1700000000);
    }
}

static void random_edits_end_where_a_whole_translation_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct world world;
        world_init(&world, seed);
        for (int step = 0; step < 150; step++) {
            uint32_t changes = 1 + pick(&world, 4);
            for (uint32_t i = 0; i < changes; i++)
                change_something(&world);
            apply(&world);
            check_mirror(&world);
            check_moved(&world);
            if (step % 3 == 0)
                check_same(&world, seed, step);
        }
        world_fini(&world);
    }
}

/* A Gateway, a Service with its slice, and `count` routes. */
static void make_many(struct world *world, uint32_t count)
{
    static const char *const BASE[] = {
        API "Gateway\nmetadata: {name: g, namespace: a}\nspec: {gatewayClassName: c, listeners: "
            "[{name: l, port: 80, protocol: HTTP}]}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: v, namespace: a}\nspec: {ports: [{name: "
        "p, "
        "port: 80}]}\n",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e, namespace: a, "
        "labels: {kubernetes.io/service-name: v}}\naddressType: IPv4\nports: [{name: p, port: "
        "3000}]\nendpoints: [{addresses: [10.0.0.1]}]\n"};
    for (size_t i = 0; i < ARRAY_LEN(BASE); i++)
        (void)store_put(world->store, decode(text_of(BASE[i])), 1700000000);
    for (uint32_t i = 0; i < count; i++) {
        struct text yaml =
            arena_printf(&world->arena,
                         API "HTTPRoute\nmetadata: {name: r%u, namespace: a}\nspec: "
                             "{parentRefs: [{name: g}], rules: [{backendRefs: [{name: v, "
                             "port: 80}]}]}\n",
                         i);
        (void)store_put(world->store, decode(yaml), 1700000000);
    }
    apply(world);
}

static void put(struct world *world, const char *yaml)
{
    (void)store_put(world->store, decode(text_of(yaml)), 1700000000);
}

static void a_change_costs_only_what_it_reaches(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    make_many(&world, 500);
    put(&world,
        API "HTTPRoute\nmetadata: {name: r7, namespace: a}\nspec: {parentRefs: [{name: g}], "
            "hostnames: [x.example.com], rules: [{backendRefs: [{name: v, port: 80}]}]}\n");
    const struct outcome_edits *edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_in_range(edits->translated, 1, 2); /* the route, and its Gateway, which counts it */
    assert_int_equal(edits->status_count, 1); /* of the route, whose generation rose */

    put(&world,
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e, namespace: "
        "a, labels: {kubernetes.io/service-name: v}}\naddressType: IPv4\nports: [{name: p, "
        "port: 3000}]\nendpoints: [{addresses: [10.0.0.2]}]\n");
    edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_int_equal(edits->resources[0].type, RESOURCE_ENDPOINTS);
    assert_int_equal(edits->translated, 1);
    assert_int_equal(edits->status_count, 0);

    (void)store_remove(world.store, (struct store_key){KIND_HTTP_ROUTE, TEXT("a"), TEXT("r7")});
    edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_null(edits->resources[0].bytes.data);
    assert_int_equal(edits->status_count, 1); /* attachedRoutes */
    const struct object_status *status =
        outcome_status(world.outcome, (struct store_key){KIND_GATEWAY, TEXT("a"), TEXT("g")});
    assert_int_equal(status->listeners[0].attached_routes, 499);
    world_fini(&world);
}

static const struct condition *find_condition(const struct conditions *conditions, const char *type)
{
    for (uint32_t i = 0; i < conditions->count; i++) {
        if (strcmp(conditions->items[i].type, type) == 0)
            return &conditions->items[i];
    }
    return NULL;
}

static const char *programmed_reason(struct world *world)
{
    const struct object_status *status =
        outcome_status(world->outcome, (struct store_key){KIND_GATEWAY, TEXT("a"), TEXT("g")});
    return find_condition(&status->conditions, "Programmed")->reason;
}

static void programmed_waits_for_a_data_plane(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    make_many(&world, 1);
    assert_string_equal(programmed_reason(&world), "Pending");
    assert_true(outcome_wants_programmed(world.outcome, TEXT("a"), TEXT("g")));
    outcome_set_programmed(world.outcome, TEXT("a"), TEXT("g"), outcome_revision(world.outcome));
    const struct outcome_edits *edits = apply(&world);
    assert_int_equal(edits->resource_count, 0);
    assert_int_equal(edits->status_count, 1);
    assert_string_equal(programmed_reason(&world), "Programmed");

    uint64_t before = outcome_revision(world.outcome);
    put(&world,
        API "Gateway\nmetadata: {name: g, namespace: a}\nspec: {gatewayClassName: c, listeners: "
            "[{name: l, port: 81, protocol: HTTP}]}\n");
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Pending");
    outcome_set_programmed(world.outcome, TEXT("a"), TEXT("g"), before); /* an old snapshot */
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Pending");
    outcome_set_programmed(world.outcome, TEXT("a"), TEXT("g"), outcome_revision(world.outcome));
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Programmed");
    world_fini(&world);
}

static void put_behind(struct world *world, const char *namespace, const char *service,
                       bool is_ready)
{
    struct text yaml = arena_printf(
        &world->arena,
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: e, namespace: %s, "
        "labels: {kubernetes.io/service-name: %s}}\naddressType: IPv4\nports: [{port: 80}]\n"
        "endpoints: [{addresses: [10.0.0.1], conditions: {ready: %s}}]\n",
        namespace, service, is_ready ? "true" : "false");
    (void)store_put(world->store, decode(yaml), 1700000000);
}

static void put_front(struct world *world, const char *namespace, const char *name,
                      const char *whose, const char *status)
{
    struct text yaml =
        arena_printf(&world->arena,
                     "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: %s, "
                     "annotations: {gateway.nantian.dev/%s}}\nspec: {type: LoadBalancer, ports: "
                     "[{port: 80}]}\nstatus: {%s}\n",
                     name, namespace, whose, status);
    (void)store_put(world->store, decode(yaml), 1700000000);
}

static void confirm(struct world *world)
{
    outcome_set_programmed(world->outcome, TEXT("a"), TEXT("g"), outcome_revision(world->outcome));
    apply(world);
}

#define ASSIGNED(ip) "loadBalancer: {ingress: [{ip: " ip "}]}"
#define PARAMETERS                                                                                 \
    "apiVersion: gateway.nantian.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: q, "      \
    "namespace: b}\nspec: {fleet: "

static void a_gateway_moves_when_somebody_is_ready_behind_its_new_service(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    put(&world,
        API "GatewayClass\nmetadata: {name: c}\nspec: {controllerName: " TRANSLATE_CONTROLLER
            ", parametersRef: {group: gateway.nantian.dev, kind: GatewayParameters, "
            "namespace: b, name: q}}\n");
    put(&world, PARAMETERS "Shared}\n");
    put(&world, API "Gateway\nmetadata: {name: g, namespace: a}\nspec: {gatewayClassName: c, "
                    "listeners: [{name: l, port: 80, protocol: HTTP}]}\n");
    apply(&world);
    assert_string_equal(programmed_reason(&world), "AddressNotAssigned"); /* nobody had it before */
    put_front(&world, "b", "old", "gateway-class: c", ASSIGNED("192.0.2.1"));
    confirm(&world);
    confirm(&world);
    assert_string_equal(programmed_reason(&world), "Programmed"); /* a first one waits for none */
    put_behind(&world, "b", "old", true);
    put(&world, PARAMETERS "PerGateway}\n");
    apply(&world);
    confirm(&world);
    assert_string_equal(programmed_reason(&world), "Pending");
    put_front(&world, "a", "new", "gateway: g", "");
    put_behind(&world, "a", "new", true);
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Pending"); /* and no AddressNotAssigned */
    put_front(&world, "a", "new", "gateway: g", ASSIGNED("192.0.2.2"));
    put_behind(&world, "a", "new", false);
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Pending");
    assert_int_equal(world.moved.count, 1); /* the fleet serves it */
    put_behind(&world, "a", "new", true);
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Programmed");
    assert_int_equal(world.moved.count, 0);
    /* And back. */
    put(&world, PARAMETERS "Shared}\n");
    put_behind(&world, "b", "old", false);
    apply(&world);
    confirm(&world);
    assert_string_equal(programmed_reason(&world), "Pending");
    put_behind(&world, "b", "old", true);
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Programmed");
    /* What it had is taken away by others. */
    put_behind(&world, "a", "new", false);
    put(&world, PARAMETERS "PerGateway}\n");
    apply(&world);
    confirm(&world);
    assert_string_equal(programmed_reason(&world), "Pending");
    put_front(&world, "b", "old", "gateway-class: x", "");
    apply(&world);
    assert_string_equal(programmed_reason(&world), "Programmed");
    put(&world, PARAMETERS "Shared}\n");
    put_front(&world, "b", "old", "gateway-class: c", ASSIGNED("192.0.2.1"));
    apply(&world);
    confirm(&world);
    /* Nobody is ready anywhere: there is nothing to wait for. */
    put(&world, PARAMETERS "PerGateway}\n");
    put_behind(&world, "b", "old", false);
    put_behind(&world, "a", "new", false);
    apply(&world);
    confirm(&world);
    assert_string_equal(programmed_reason(&world), "Programmed");
    world_fini(&world);
}

static void a_refused_route_is_left_out_until_it_differs(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    make_many(&world, 2);
    struct text name = TEXT("a/g/l|HTTPRoute/a/r1/0");
    assert_true(outcome_refuse(world.outcome, RESOURCE_ROUTE, name, TEXT("it smells"), NULL));
    const struct outcome_edits *edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_null(edits->resources[0].bytes.data);
    const struct object_status *status =
        outcome_status(world.outcome, (struct store_key){KIND_HTTP_ROUTE, TEXT("a"), TEXT("r1")});
    const struct condition *accepted = find_condition(&status->parents[0].conditions, "Accepted");
    assert_int_equal(accepted->state, CONDITION_FALSE);
    assert_non_null(memmem(accepted->message.data, accepted->message.len, "it smells", 9));
    put(&world,
        API "HTTPRoute\nmetadata: {name: r1, namespace: a}\nspec: {parentRefs: [{name: g}], "
            "hostnames: [x.example.com], rules: [{backendRefs: [{name: v, port: 80}]}]}\n");
    edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_non_null(edits->resources[0].bytes.data);
    assert_false(
        outcome_refuse(world.outcome, RESOURCE_ROUTE, TEXT("no|such/a/b/0"), TEXT("x"), NULL));
    world_fini(&world);
}

static void a_refused_listener_takes_its_routes_along(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    make_many(&world, 3);
    assert_true(
        outcome_refuse(world.outcome, RESOURCE_LISTENER, TEXT("a/g/l"), TEXT("no port"), NULL));
    apply(&world);
    uint64_t listeners, routes, backends;
    outcome_digest(world.outcome, RESOURCE_LISTENER, &listeners);
    outcome_digest(world.outcome, RESOURCE_ROUTE, &routes);
    outcome_digest(world.outcome, RESOURCE_BACKEND, &backends);
    assert_int_equal(listeners + routes + backends, 0);
    assert_string_equal(programmed_reason(&world), "Invalid");
    assert_false(outcome_forgive(world.outcome, RESOURCE_ROUTE));
    assert_true(outcome_forgive(world.outcome, RESOURCE_LISTENER));
    assert_false(outcome_forgive(world.outcome, RESOURCE_LISTENER));
    apply(&world);
    outcome_digest(world.outcome, RESOURCE_LISTENER, &listeners);
    outcome_digest(world.outcome, RESOURCE_ROUTE, &routes);
    outcome_digest(world.outcome, RESOURCE_BACKEND, &backends);
    assert_int_equal(listeners, 1);
    assert_int_equal(routes, 3);
    assert_true(backends > 0);
    check_mirror(&world);
    assert_true(
        outcome_refuse(world.outcome, RESOURCE_LISTENER, TEXT("a/g/l"), TEXT("no port"), NULL));
    apply(&world);
    outcome_digest(world.outcome, RESOURCE_LISTENER, &listeners);
    assert_int_equal(listeners, 0);
    world_fini(&world);
}

static void refused_backends_and_endpoints_are_replaced(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 1);
    make_many(&world, 1);
    struct text name = TEXT("a/v:80");
    assert_true(outcome_refuse(world.outcome, RESOURCE_ENDPOINTS, name, TEXT("too many"), NULL));
    const struct outcome_edits *edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_int_equal(edits->resources[0].bytes.len, 0);
    assert_true(outcome_refuse(world.outcome, RESOURCE_BACKEND, name, TEXT("odd"), NULL));
    edits = apply(&world);
    assert_int_equal(edits->resource_count, 1);
    assert_non_null(edits->resources[0].bytes.data);
    check_mirror(&world);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_edits_end_where_a_whole_translation_ends),
        cmocka_unit_test(a_change_costs_only_what_it_reaches),
        cmocka_unit_test(programmed_waits_for_a_data_plane),
        cmocka_unit_test(a_gateway_moves_when_somebody_is_ready_behind_its_new_service),
        cmocka_unit_test(a_refused_route_is_left_out_until_it_differs),
        cmocka_unit_test(a_refused_listener_takes_its_routes_along),
        cmocka_unit_test(refused_backends_and_endpoints_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
