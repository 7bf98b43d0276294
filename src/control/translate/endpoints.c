/* Endpoints in a canonical order, so that the same set always has the same bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/endpoints.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "nantian/config/v1/endpoints.pb-c.h"

struct job {
    struct translation *t;
    const struct kind_object *service;
    const struct kind_service_port *port;
    struct piece *piece;
    Nantian__Config__V1__Endpoint **items; /* owns the array */
    size_t count, cap;
};

static void add(struct job *job, struct text address, int32_t port,
                const struct kind_endpoint *from)
{
    struct arena *arena = &job->t->scratch;
    Nantian__Config__V1__Endpoint *endpoint = arena_new(arena, Nantian__Config__V1__Endpoint);
    nantian__config__v1__endpoint__init(endpoint);
    endpoint->address = arena_string(arena, address);
    endpoint->port = (uint32_t)port;
    endpoint->serving = true;
    if (from != NULL) {
        endpoint->zone = arena_string(arena, from->zone);
        endpoint->hostname = arena_string(arena, from->hostname);
        endpoint->terminating = from->terminating;
        endpoint->n_hint_zones = from->hint_zones.count;
        endpoint->hint_zones = arena_array(arena, char *, from->hint_zones.count + 1);
        for (size_t i = 0; i < from->hint_zones.count; i++)
            endpoint->hint_zones[i] = arena_string(arena, from->hint_zones.items[i]);
    }
    job->items = memory_grow(job->items, job->count, &job->cap, sizeof(*job->items));
    job->items[job->count++] = endpoint;
}

static void say(struct job *job, const char *code, struct kind_place place, struct text message)
{
    struct piece_spot spot = {FAULT_WARNING, code, place, TEXT_NONE, TEXT_NONE};
    piece_fault(job->piece, job->service, &spot, message);
}

static bool is_ready(const struct kind_endpoint *endpoint)
{
    return !endpoint->has_ready || endpoint->ready;
}

static bool is_usable(const struct job *job, const struct kind_endpoint *endpoint)
{
    return is_ready(endpoint) || job->service->service->publish_not_ready ||
           (endpoint->terminating && endpoint->serving);
}

/* The slice's number for this port; 0: it does not have it. */
static int32_t slice_port(const struct job *job, const struct kind_endpoint_slice *slice)
{
    if (slice->port_count == 0)
        return job->port->target_port.is_text ? 0 : job->port->target_port.number;
    bool is_udp = text_is(job->port->protocol, "UDP");
    for (size_t i = 0; i < slice->port_count; i++) {
        const struct kind_endpoint_port *port = &slice->ports[i];
        if (text_equal(port->name, job->port->name) && text_is(port->protocol, "UDP") == is_udp)
            return port->port;
    }
    return 0;
}

static const struct slice_entry *slices_of(struct translation *t, const struct kind_object *service)
{
    struct text path = piece_path(&t->scratch, service->meta.namespace, service->meta.name);
    const struct service_entry *entry = outcome_service(t->outcome, path);
    return entry == NULL ? NULL : entry->slices;
}

bool endpoints_any_ready(struct translation *t, const struct kind_object *service)
{
    for (const struct slice_entry *at = slices_of(t, service); at != NULL; at = at->next) {
        const struct kind_object *object =
            store_get(t->store, at->key.kind, at->key.namespace, at->key.name);
        for (size_t i = 0; object != NULL && i < object->endpoint_slice->endpoint_count; i++)
            if (is_ready(&object->endpoint_slice->endpoints[i]))
                return true;
    }
    return false;
}

static void add_slices(struct job *job)
{
    size_t slices = 0, fitting = 0;
    for (const struct slice_entry *at = slices_of(job->t, job->service); at != NULL;
         at = at->next) {
        const struct kind_object *object =
            store_get(job->t->store, at->key.kind, at->key.namespace, at->key.name);
        if (object == NULL || object->endpoint_slice->family == KIND_FAMILY_FQDN)
            continue;
        const struct kind_endpoint_slice *slice = object->endpoint_slice;
        slices++;
        int32_t port = slice_port(job, slice);
        fitting += port > 0;
        for (size_t i = 0; port > 0 && i < slice->endpoint_count; i++) {
            const struct kind_endpoint *endpoint = &slice->endpoints[i];
            if (is_usable(job, endpoint) && endpoint->addresses.count > 0)
                add(job, endpoint->addresses.items[0], port, endpoint);
        }
    }
    if (slices > 0 && fitting == 0)
        say(job, "EndpointPortMissing", job->port->place,
            arena_printf(&job->t->scratch,
                         "None of its EndpointSlices has a port named \"" TEXT_FMT
                         "\", so nothing can be reached on port %d.",
                         TEXT_ARG(job->port->name), (int)job->port->port));
    if (slices == 0 && job->t->options->standalone)
        say(job, "NoEndpoints", job->port->place,
            TEXT("The Service has no EndpointSlice and no annotation " KIND_ANNOTATION_ADDRESS
                 ", so requests for it get 503."));
}

/* "10.0.0.1", "10.0.0.1:80", "::1", "[::1]:80"; the port of the Service where none is given. */
static bool parse_address(struct text text, int32_t *port, struct text *ret_address)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char out[16];
    struct text address = text, digits = TEXT_NONE;
    size_t colon = text_find(text, ':', 0);
    if (text.len > 0 && text.data[0] == '[') {
        size_t end = text_find(text, ']', 0);
        address = text_slice(text, 1, end);
        digits = text_slice(text, end + 1, text.len);
        if (digits.len > 0 && digits.data[0] != ':')
            return false;
        digits = text_slice(digits, 1, digits.len);
    } else if (colon < text.len && text_find(text, ':', colon + 1) == text.len) {
        address = text_slice(text, 0, colon);
        digits = text_slice(text, colon + 1, text.len);
    }
    uint64_t number = 0;
    if (digits.len > 0) {
        if (!text_to_u64(digits, &number) || number < 1 || number > 65535)
            return false;
        *port = (int32_t)number;
    }
    if (address.len == 0 || address.len >= sizeof(copy) || *port == 0)
        return false;
    memcpy(copy, address.data, address.len);
    copy[address.len] = '\0';
    *ret_address = address;
    return inet_pton(AF_INET, copy, out) == 1 || inet_pton(AF_INET6, copy, out) == 1;
}

static struct text annotation_of(const struct kind_object *service)
{
    struct text value = kind_pairs_get(&service->meta.annotations, KIND_ANNOTATION_ADDRESS);
    if (value.data == NULL)
        value = kind_pairs_get(&service->meta.annotations, KIND_ANNOTATION_ADDRESS "es");
    return value;
}

static void add_annotated(struct job *job, struct text rest)
{
    struct text part;
    while (text_split(&rest, ',', &part)) {
        part = text_trim(part);
        if (part.len == 0)
            continue;
        struct text address;
        int32_t port =
            job->port->target_port.is_text ? job->port->port : job->port->target_port.number;
        if (parse_address(part, &port, &address))
            add(job, address, port, NULL);
        else
            say(job, "InvalidAddress", job->service->meta.place,
                arena_printf(&job->t->scratch,
                             "\"" TEXT_FMT "\" in the annotation of addresses is no IP address "
                             "with a port.",
                             TEXT_ARG(part)));
    }
}

static int compare(const void *a, const void *b)
{
    const Nantian__Config__V1__Endpoint *x = *(Nantian__Config__V1__Endpoint *const *)a;
    const Nantian__Config__V1__Endpoint *y = *(Nantian__Config__V1__Endpoint *const *)b;
    int order = strcmp(x->address, y->address);
    if (order != 0)
        return order;
    if (x->port != y->port)
        return x->port < y->port ? -1 : 1;
    if (x->terminating != y->terminating)
        return x->terminating ? 1 : -1;
    order = strcmp(x->zone, y->zone);
    return order != 0 ? order : strcmp(x->hostname, y->hostname);
}

static void sort_unique(struct job *job)
{
    if (job->count < 2)
        return;
    qsort(job->items, job->count, sizeof(*job->items), compare);
    size_t kept = 1;
    for (size_t i = 1; i < job->count; i++) {
        const Nantian__Config__V1__Endpoint *last = job->items[kept - 1];
        if (strcmp(last->address, job->items[i]->address) != 0 || last->port != job->items[i]->port)
            job->items[kept++] = job->items[i];
    }
    job->count = kept;
}

/* Not before they are in order: which of them are left must not go by the order of slices. */
static void cut(struct job *job, const struct backend_entry *entry)
{
    if (job->count <= LIMIT_ENDPOINTS)
        return;
    say(job, "TooManyEndpoints", job->port->place,
        arena_printf(&job->t->scratch,
                     "Port %d has %zu endpoints; requests go to the first %d by address.",
                     (int)entry->port, job->count, LIMIT_ENDPOINTS));
    job->count = LIMIT_ENDPOINTS;
}

static void commit(struct translation *t, const struct backend_entry *entry,
                   const Nantian__Config__V1__Endpoints *message, struct piece *piece)
{
    piece_add_resource(piece, RESOURCE_ENDPOINTS, entry->name, message, &t->scratch);
    const struct outcome_resource *resource = &piece->resources[piece->resource_count - 1];
    if (outcome_refusal(t->outcome, RESOURCE_ENDPOINTS, entry->name, resource->digest).len == 0)
        return;
    /* A data plane refused them: none stand in, requests get 503. */
    Nantian__Config__V1__Endpoints none = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    piece->resource_count--;
    piece_add_resource(piece, RESOURCE_ENDPOINTS, entry->name, &none, &t->scratch);
}

/* Whoever may write a Service of a cluster could reach the admin port of the data planes by it. */
static void set_name(struct translation *t, struct text host, int32_t port,
                     Nantian__Config__V1__Endpoints *message)
{
    message->dns_name = arena_string(&t->scratch, host);
    message->dns_port = (uint32_t)port;
    message->dns_elsewhere = !t->options->standalone;
}

void endpoints_add(struct translation *t, const struct kind_object *service,
                   const struct kind_service_port *port, const struct backend_entry *entry,
                   struct piece *piece)
{
    struct job job = {.t = t, .service = service, .port = port, .piece = piece};
    Nantian__Config__V1__Endpoints message = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    const struct kind_service *spec = service->service;
    struct text annotation = annotation_of(service);
    if (t->options->standalone && annotation.len > 0 && port != NULL) {
        add_annotated(&job, annotation);
    } else if (text_is(spec->type, "ExternalName")) {
        bool is_other = port != NULL && !port->target_port.is_text && port->target_port.number > 0;
        set_name(t, spec->external_name, is_other ? port->target_port.number : entry->port,
                 &message);
    } else if (port != NULL) {
        add_slices(&job);
    }
    sort_unique(&job);
    cut(&job, entry);
    message.endpoints = job.items;
    message.n_endpoints = job.count;
    commit(t, entry, &message, piece);
    free(job.items);
}

void endpoints_add_name(struct translation *t, struct text host, const struct backend_entry *entry,
                        struct piece *piece)
{
    Nantian__Config__V1__Endpoints message = NANTIAN__CONFIG__V1__ENDPOINTS__INIT;
    if (host.len > 0)
        set_name(t, host, entry->port, &message);
    commit(t, entry, &message, piece);
}
