/* Backends and their endpoints: two resources, one compiled part. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/shared_budget.h"
#include "base/shared_counter.h"
#include "base/shared_room.h"
#include "data/compile/part.h"
#include "data/snapshot/hash_table.h"
#include "nantian/config/v1/backend.pb-c.h"
#include "nantian/config/v1/endpoints.pb-c.h"

#define NS_PER_MS UINT64_C(1000000)

static void refuse(struct change *change, const struct part *part, const char *field,
                   const char *what)
{
    struct fault fault = part_fault(change, part, "InvalidBackend", text_of(field));
    faults_add(change->faults, &fault, "%s", what);
}

static void refuse_endpoint(struct change *change, const struct part *part, size_t at,
                            const char *field, const char *what)
{
    struct fault fault = part_fault(change, part, "InvalidEndpoint", TEXT_NONE);
    fault.field = arena_printf(&change->scratch, "endpoints[%zu].%s", at, field);
    faults_add(change->faults, &fault, "%s", what);
}

void compile_endpoints(struct change *change, struct part *part)
{
    Nantian__Config__V1__Endpoints *message =
        part_message(change, part, &nantian__config__v1__endpoints__descriptor, part_bytes(part));
    if (message == NULL)
        return;
    if (message->n_endpoints > LIMIT_ENDPOINTS) {
        struct fault fault = part_fault(change, part, "TooMany", TEXT("endpoints"));
        faults_add(change->faults, &fault, "%zu are more than the %d that are allowed",
                   message->n_endpoints, LIMIT_ENDPOINTS);
        return;
    }
    for (size_t i = 0; i < message->n_endpoints; i++) {
        const Nantian__Config__V1__Endpoint *endpoint = message->endpoints[i];
        struct address address;
        if (endpoint->port == 0 || endpoint->port > UINT16_MAX)
            refuse_endpoint(change, part, i, "port", "is not between 1 and 65535");
        else if (!address_parse(text_of(endpoint->address), (uint16_t)endpoint->port, &address))
            refuse_endpoint(change, part, i, "address", "is not an IP address");
        if (endpoint->weight > LIMIT_ENDPOINT_WEIGHT)
            refuse_endpoint(change, part, i, "weight", "is above 1000");
    }
    if (message->dns_name[0] != '\0') {
        struct fault fault = part_fault(change, part, "InvalidEndpoint", TEXT("dns_name"));
        if (!compile_hostname_is_valid(text_of(message->dns_name)))
            faults_add(change->faults, &fault, "is not a host name");
        fault.field = TEXT("dns_port");
        if (message->dns_port == 0 || message->dns_port > UINT16_MAX)
            faults_add(change->faults, &fault, "is not between 1 and 65535");
    }
}

void compile_backend_uses(struct change *change, const struct part_backend *backend, int32_t delta)
{
    if (backend == NULL)
        return;
    if (backend->endpoints != NULL)
        part_use(change, backend->endpoints, delta);
    for (uint32_t i = 0; i < backend->ca_count; i++)
        part_use(change, backend->cas[i], delta);
    if (backend->client != NULL)
        part_use(change, backend->client, delta);
}

static struct part *need(struct change *change, const struct part *part, enum resource_type type,
                         const char *name, const char *field)
{
    struct part *wanted = part_find(change->compile, type, text_of(name));
    if (part_will_be(wanted))
        return wanted;
    struct fault fault = part_fault(change, part, "UnknownResource", text_of(field));
    faults_add(change->faults, &fault, "there is no %s \"%s\"", types_name(type), name);
    return NULL;
}

static void make_tls(struct change *change, const struct part *part,
                     const Nantian__Config__V1__Backend__Tls *tls, struct part_backend *made)
{
    struct backend *backend = made->backend;
    static const char *const HTTP1[] = {"http/1.1", NULL}, *const H2[] = {"h2", NULL};
    struct tls_client_options options = {.name_count = tls->n_subject_alt_names};
    if (backend->protocol == BACKEND_HTTP1 || backend->protocol == BACKEND_H2)
        options.alpn = backend->protocol == BACKEND_H2 ? H2 : HTTP1;
    backend->server_name = arena_text(&backend->arena, text_of(tls->server_name));
    struct compile_names names = {tls->ca_secrets, tls->n_ca_secrets, "tls.ca_secrets"};
    made->cas = memory_alloc(sizeof(struct part *) * MAX(names.count, (size_t)1));
    made->ca_count = compile_find_secrets(change, part, &names, made->cas);
    options.ca_pem = compile_join_cas(change, part, made->cas, made->ca_count, "tls.ca_secrets");
    if (tls->client_secret[0] != '\0')
        made->client = need(change, part, RESOURCE_SECRET, tls->client_secret, "tls.client_secret");
    const struct part_secret *client = made->client == NULL ? NULL : part_secret_next(made->client);
    if (client != NULL && client->certificate == NULL)
        refuse(change, part, "tls.client_secret", "names a secret without a certificate");
    else if (client != NULL)
        options.certificate = client->certificate;
    if (tls->server_name[0] == '\0' && tls->n_subject_alt_names == 0) {
        refuse(change, part, "tls.server_name", "is empty, so no certificate could be checked");
        return;
    }
    struct text *sans = arena_array(&backend->arena, struct text, options.name_count + 1);
    for (size_t i = 0; i < options.name_count; i++)
        sans[i] = arena_text(&backend->arena, text_of(tls->subject_alt_names[i]));
    options.names = sans;
    const char *why = NULL;
    backend->tls = tls_client_new(&options, &why);
    if (backend->tls == NULL)
        refuse(change, part, "tls", why == NULL ? "cannot be used" : why);
}

/* NULL: it stands there already. Slices may name one twice, resolvers too, and IPv6 has many
 * spellings; for a pool it is one. */
static struct endpoint *add_endpoint(struct backend *backend, struct map *known,
                                     const struct address *address, uint32_t weight)
{
    char text[ADDRESS_TEXT_MAX];
    struct text shown = address_format(address, text);
    if (map_get(known, shown) != NULL)
        return NULL;
    struct endpoint *endpoint = &backend->endpoints[backend->endpoint_count++];
    *endpoint = (struct endpoint){
        .address = *address,
        .text = arena_text(&backend->arena, shown),
        .weight = MAX(weight, 1u),
    };
    map_put(known, endpoint->text, endpoint);
    return endpoint;
}

static bool is_for_zone(const Nantian__Config__V1__Endpoint *endpoint, struct text zone)
{
    for (size_t i = 0; i < endpoint->n_hint_zones; i++)
        if (text_is(zone, endpoint->hint_zones[i]))
            return true;
    return false;
}

static void add_endpoints(const Nantian__Config__V1__Endpoints *message, bool terminating,
                          struct text zone, struct backend *backend, struct map *known)
{
    for (size_t i = 0; i < message->n_endpoints; i++) {
        const Nantian__Config__V1__Endpoint *from = message->endpoints[i];
        struct address address;
        if (!from->serving || from->terminating != terminating ||
            !address_parse(text_of(from->address), (uint16_t)from->port, &address))
            continue;
        struct endpoint *endpoint = add_endpoint(backend, known, &address, from->weight);
        if (endpoint != NULL)
            endpoint->is_far = !is_for_zone(from, zone);
    }
}

/* As kube-proxy: hints count if we know our zone, every endpoint has some, and one is for us. */
static bool has_hints(const Nantian__Config__V1__Endpoints *message, struct text zone)
{
    bool is_ours = false;
    for (size_t i = 0; i < message->n_endpoints; i++) {
        const Nantian__Config__V1__Endpoint *endpoint = message->endpoints[i];
        if (!endpoint->serving || endpoint->terminating)
            continue;
        if (endpoint->n_hint_zones == 0)
            return false;
        is_ours = is_ours || is_for_zone(endpoint, zone);
    }
    return zone.len > 0 && is_ours;
}

/* Those that serve, and behind them those that still serve while they end: for the sessions that
 * they have; for everybody if there are no others. */
static void take_endpoints(struct change *change, struct part_backend *made)
{
    struct backend *backend = made->backend;
    struct text zone = change->compile->options.zone;
    Nantian__Config__V1__Endpoints *message =
        part_message(change, made->endpoints, &nantian__config__v1__endpoints__descriptor,
                     part_bytes(made->endpoints));
    if (message == NULL)
        return;
    size_t room = message->n_endpoints + made->resolved_count;
    backend->endpoints = arena_array(&backend->arena, struct endpoint, room + 1);
    struct map known; /* by what is shown of them */
    map_init(&known);
    add_endpoints(message, false, zone, backend, &known);
    backend->dns_name = arena_text(&backend->arena, text_of(message->dns_name));
    backend->dns_port = (uint16_t)message->dns_port;
    for (size_t i = 0; backend->dns_name.len > 0 && i < made->resolved_count; i++) {
        struct address address = made->resolved[i];
        address_set_port(&address, backend->dns_port);
        if (!message->dns_elsewhere || !address_is_here(&address))
            (void)add_endpoint(backend, &known, &address, 1);
    }
    uint32_t open_count = backend->endpoint_count;
    add_endpoints(message, true, zone, backend, &known);
    map_fini(&known);
    if (open_count > 0)
        backend->reserved_count = backend->endpoint_count - open_count;
    bool is_hinted = has_hints(message, zone);
    for (uint32_t i = 0; i < backend->endpoint_count; i++)
        backend->endpoints[i].is_far = is_hinted && backend->endpoints[i].is_far;
}

static int compare_ids(const void *a, const void *b, void *endpoints)
{
    const struct endpoint *all = endpoints;
    uint64_t x = all[*(const uint32_t *)a].id, y = all[*(const uint32_t *)b].id;
    return x < y ? -1 : x > y;
}

static bool is_down(const struct part_backend *made, uint64_t id)
{
    for (size_t i = 0; made->backend->health_check != NULL && i < made->down_count; i++)
        if (made->down[i] == id)
            return true;
    return false;
}

static void index_endpoints(struct part_backend *made)
{
    struct backend *backend = made->backend;
    backend->by_id = arena_array(&backend->arena, uint32_t, backend->endpoint_count + 1);
    for (uint32_t i = 0; i < backend->endpoint_count; i++) {
        backend->endpoints[i].id = hash_stable(backend->endpoints[i].text);
        backend->endpoints[i].is_down = is_down(made, backend->endpoints[i].id);
        backend->by_id[i] = i;
    }
    qsort_r(backend->by_id, backend->endpoint_count, sizeof(*backend->by_id), compare_ids,
            backend->endpoints);
    if (backend->balance == BALANCE_RING_HASH || backend->balance == BALANCE_MAGLEV)
        backend->table =
            hash_table_new(backend->balance, backend->endpoints,
                           backend->endpoint_count - backend->reserved_count, &backend->arena);
}

static void check_guards(struct change *change, const struct part *part,
                         const Nantian__Config__V1__Backend *message)
{
    const Nantian__Config__V1__Backend__Ejection *ejection = message->ejection;
    if (ejection != NULL && ejection->base_ms == 0)
        refuse(change, part, "ejection.base_ms", "is 0");
    if (ejection != NULL && ejection->max_percent > 100)
        refuse(change, part, "ejection.max_percent", "is above 100");
    const Nantian__Config__V1__Backend__HealthCheck *health = message->health_check;
    if (health != NULL &&
        (unsigned)health->type > NANTIAN__CONFIG__V1__BACKEND__HEALTH_CHECK__TYPE__TCP)
        refuse(change, part, "health_check.type", "is none that this proxy knows");
    if (health != NULL && (health->interval_ms == 0 || health->timeout_ms == 0 ||
                           health->healthy == 0 || health->unhealthy == 0))
        refuse(change, part, "health_check", "has a time or a threshold of 0");
    if (health != NULL && health->type == NANTIAN__CONFIG__V1__BACKEND__HEALTH_CHECK__TYPE__HTTP &&
        (health->path[0] != '/' || strpbrk(health->path, " \r\n\t#") != NULL))
        refuse(change, part, "health_check.path", "is no path");
    if (health != NULL && strlen(health->service) > LIMIT_HEALTH_SERVICE)
        refuse(change, part, "health_check.service", "is longer than 100 bytes");
    if (health != NULL && strpbrk(health->host, " \r\n\t/") != NULL)
        refuse(change, part, "health_check.host", "is no host");
    if (message->panic_percent > 100)
        refuse(change, part, "panic_percent", "is above 100");
    const Nantian__Config__V1__Backend__RetryBudget *budget = message->retry_budget;
    if (budget != NULL && budget->percent > 100)
        refuse(change, part, "retry_budget.percent", "is above 100");
    if (budget != NULL &&
        (budget->interval_ms == 0 || budget->min_count == 0 || budget->min_interval_ms == 0))
        refuse(change, part, "retry_budget", "has a time or a count of 0");
}

static const struct health_check *
health_check_of(struct arena *arena, const Nantian__Config__V1__Backend__HealthCheck *from)
{
    if (from == NULL)
        return NULL;
    struct health_check *check = arena_new(arena, struct health_check);
    *check = (struct health_check){
        .kind = (enum health_kind)from->type,
        .interval_ms = from->interval_ms,
        .timeout_ms = from->timeout_ms,
        .healthy = from->healthy,
        .unhealthy = from->unhealthy,
        .host = arena_text(arena, text_of(from->host)),
        .path = arena_text(arena, text_of(from->path)),
        .statuses = arena_array(arena, uint32_t, from->n_statuses + 1),
        .status_count = (uint32_t)from->n_statuses,
        .service = arena_text(arena, text_of(from->service)),
    };
    for (size_t i = 0; i < from->n_statuses; i++)
        check->statuses[i] = from->statuses[i];
    return check;
}

/* The one that is there, with what it has counted, while it says the same. */
static struct shared_budget *budget_of(const Nantian__Config__V1__Backend__RetryBudget *from,
                                       const struct part_backend *old)
{
    if (from == NULL)
        return NULL;
    const struct shared_budget_options options = {
        .percent = from->percent,
        .window_ns = from->interval_ms * NS_PER_MS,
        .min_count = from->min_count,
        .min_window_ns = from->min_interval_ms * NS_PER_MS,
    };
    struct shared_budget *there = old == NULL ? NULL : old->backend->retries;
    const struct shared_budget_options *now = there == NULL ? NULL : shared_budget_options(there);
    bool is_same = now != NULL && now->percent == options.percent &&
                   now->window_ns == options.window_ns && now->min_count == options.min_count &&
                   now->min_window_ns == options.min_window_ns;
    return is_same ? shared_budget_ref(there) : shared_budget_new(&options);
}

static struct shared_gauge *gauge_of(uint32_t max, struct shared_gauge *there)
{
    if (there != NULL)
        return shared_gauge_ref(there);
    return max > 0 ? shared_gauge_new() : NULL;
}

static void take_guards(const Nantian__Config__V1__Backend *message, const struct part_backend *old,
                        struct backend *backend)
{
    const Nantian__Config__V1__Backend__Ejection *ejection = message->ejection;
    if (ejection != NULL)
        backend->ejection = (struct ejection){
            .server_errors = ejection->server_errors,
            .gateway_errors = ejection->gateway_errors,
            .connect_errors = ejection->connect_errors,
            .base_ms = ejection->base_ms,
            .max_ms = ejection->max_ms,
            .max_percent = ejection->max_percent,
        };
    backend->health_check = health_check_of(&backend->arena, message->health_check);
    backend->panic_percent = message->panic_percent;
    backend->slow_start_ms = message->slow_start_ms;
    backend->max_connections = message->max_connections;
    backend->max_pending = message->max_pending;
    backend->max_requests = message->max_requests;
    /* What is under way goes on being counted. */
    const struct backend *before = old == NULL ? NULL : old->backend;
    backend->requests = gauge_of(message->max_requests, before == NULL ? NULL : before->requests);
    backend->pending = gauge_of(message->max_pending, before == NULL ? NULL : before->pending);
    if (before != NULL && before->room != NULL)
        backend->room = shared_room_ref(before->room);
    else if (message->max_connections > 0)
        backend->room = shared_room_new();
    backend->retries = budget_of(message->retry_budget, old);
}

static bool check(struct change *change, const struct part *part,
                  const Nantian__Config__V1__Backend *message)
{
    size_t before = change->faults->count + change->faults->dropped;
    if ((unsigned)message->protocol > NANTIAN__CONFIG__V1__BACKEND__PROTOCOL__UDP)
        refuse(change, part, "protocol", "is none that this proxy knows");
    if ((unsigned)message->balance > NANTIAN__CONFIG__V1__BACKEND__BALANCE__MAGLEV)
        refuse(change, part, "balance", "is none that this proxy knows");
    if (message->hash != NULL) {
        bool wants_name = message->hash->key == NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__HEADER ||
                          message->hash->key == NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__COOKIE;
        if ((unsigned)message->hash->key > NANTIAN__CONFIG__V1__BACKEND__HASH__KEY__PATH)
            refuse(change, part, "hash.key", "is none that this proxy knows");
        if (wants_name && message->hash->name[0] == '\0')
            refuse(change, part, "hash.name", "is empty");
    }
    if (message->fail_status != 0 && (message->fail_status < 400 || message->fail_status > 599))
        refuse(change, part, "fail_status", "is not between 400 and 599");
    check_guards(change, part, message);
    return change->faults->count + change->faults->dropped == before;
}

static struct backend *backend_new(const struct part *part)
{
    struct arena arena;
    arena_init(&arena, sizeof(struct backend) + sizeof(struct endpoint) + part->name.len + 128);
    struct backend *backend = arena_new(&arena, struct backend);
    atomic_init(&backend->refs, 1);
    backend->arena = arena;
    backend->name = arena_text(&backend->arena, part->name);
    backend->slot = part->slot;
    return backend;
}

/* The context and its sessions live on while nothing that made it changes. */
static bool keep_tls(const struct part *part, struct part_backend *made)
{
    const struct part_backend *old = part->value;
    if (old == NULL || part->edited || (old->client != NULL && old->client->edited))
        return false;
    for (uint32_t i = 0; i < old->ca_count; i++) {
        if (old->cas[i]->edited)
            return false;
    }
    made->cas = memory_alloc(sizeof(struct part *) * MAX(old->ca_count, 1u));
    made->ca_count = old->ca_count;
    if (old->ca_count > 0)
        memcpy(made->cas, old->cas, sizeof(struct part *) * old->ca_count);
    made->client = old->client;
    made->backend->server_name = arena_text(&made->backend->arena, old->backend->server_name);
    made->backend->tls = old->backend->tls == NULL ? NULL : tls_context_ref(old->backend->tls);
    return true;
}

void compile_backend(struct change *change, struct part *part)
{
    const struct part_backend *old = part->value;
    Nantian__Config__V1__Backend *message =
        part_message(change, part, &nantian__config__v1__backend__descriptor, part_bytes(part));
    if (message == NULL || !check(change, part, message))
        return;
    part_slot(change, part);
    struct part_backend *made = memory_new(struct part_backend);
    struct backend *backend = made->backend = backend_new(part);
    part->next = made;
    backend->protocol = (enum backend_protocol)message->protocol;
    backend->balance = (enum balance)message->balance;
    backend->session = compile_session(change, part, message->session, &backend->arena);
    if (message->hash != NULL) {
        backend->hash_key = (enum hash_key)message->hash->key;
        backend->hash_name = arena_text(&backend->arena, text_of(message->hash->name));
    }
    backend->connect_timeout_ms = message->connect_timeout_ms;
    take_guards(message, old, backend);
    backend->fail_status = message->fail_status;
    if (!keep_tls(part, made) && message->tls != NULL)
        make_tls(change, part, message->tls, made);
    /* A backend that always fails needs no endpoints. */
    bool wants = message->endpoints[0] != '\0' || message->fail_status == 0;
    if (wants)
        made->endpoints = need(change, part, RESOURCE_ENDPOINTS, message->endpoints, "endpoints");
    if (old != NULL && old->resolved_count > 0) {
        made->resolved = memory_alloc(sizeof(struct address) * old->resolved_count);
        memcpy(made->resolved, old->resolved, sizeof(struct address) * old->resolved_count);
        made->resolved_count = old->resolved_count;
    }
    if (old != NULL && old->down_count > 0) {
        made->down = memory_alloc(sizeof(uint64_t) * old->down_count);
        memcpy(made->down, old->down, sizeof(uint64_t) * old->down_count);
        made->down_count = old->down_count;
    }
    if (made->endpoints != NULL) {
        take_endpoints(change, made);
        index_endpoints(made);
    }
}
