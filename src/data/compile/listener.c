/* Listeners, and the policies that set their limits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "data/compile/part.h"
#include "nantian/config/v1/listener.pb-c.h"
#include "nantian/config/v1/policy.pb-c.h"

static void refuse(struct change *change, const struct part *part, const char *field,
                   const char *what)
{
    struct fault fault = part_fault(change, part, "InvalidListener", text_of(field));
    faults_add(change->faults, &fault, "%s", what);
}

void compile_policy(struct change *change, struct part *part)
{
    Nantian__Config__V1__Policy *message =
        part_message(change, part, &nantian__config__v1__policy__descriptor, part_bytes(part));
    if (message == NULL || message->listener[0] == '\0')
        return;
    if (!part_will_be(part_find(change->compile, RESOURCE_LISTENER, text_of(message->listener)))) {
        struct fault fault = part_fault(change, part, "UnknownListener", TEXT("listener"));
        faults_add(change->faults, &fault, "there is no Listener \"%s\"", message->listener);
    }
}

static void limits_merge(struct listener_limits *limits, const Nantian__Config__V1__Policy *policy)
{
    if (policy->header_timeout_ms != 0)
        limits->header_ms = policy->header_timeout_ms;
    if (policy->idle_timeout_ms != 0)
        limits->idle_ms = policy->idle_timeout_ms;
    if (policy->body_timeout_ms != 0)
        limits->body_ms = policy->body_timeout_ms;
    if (policy->body_bytes_max != 0)
        limits->body_bytes_max = policy->body_bytes_max;
}

/* Those for all listeners first, then those for this one; each in order of their names. */
static struct listener_limits limits_of(struct change *change, const struct part *listener)
{
    struct listener_limits limits = {0};
    size_t count = 0;
    struct part **policies =
        (struct part **)map_sorted(&change->compile->parts[RESOURCE_POLICY], &count);
    for (int own = 0; own < 2; own++) {
        for (size_t i = 0; i < count; i++) {
            if (!part_will_be(policies[i]))
                continue;
            Nantian__Config__V1__Policy *policy =
                part_message(change, policies[i], &nantian__config__v1__policy__descriptor,
                             part_bytes(policies[i]));
            if (policy != NULL && (own == 1 ? text_is(listener->name, policy->listener)
                                            : policy->listener[0] == '\0'))
                limits_merge(&limits, policy);
        }
    }
    free(policies);
    return limits;
}

void compile_listener_uses(struct change *change, const struct part_listener *listener,
                           int32_t delta)
{
    if (listener == NULL)
        return;
    for (uint32_t i = 0; i < listener->secret_count; i++)
        part_use(change, listener->secrets[i], delta);
    if (listener->client_ca != NULL)
        part_use(change, listener->client_ca, delta);
}

static const struct part_secret *secret_of(const struct part *part)
{
    return part->next != NULL ? part->next : part->value;
}

static struct part *need_secret(struct change *change, const struct part *part, const char *name,
                                const char *field)
{
    struct part *secret = part_find(change->compile, RESOURCE_SECRET, text_of(name));
    if (part_will_be(secret) && secret_of(secret) != NULL)
        return secret;
    struct fault fault = part_fault(change, part, "UnknownSecret", text_of(field));
    faults_add(change->faults, &fault, "there is no Secret \"%s\"", name);
    return NULL;
}

static void take_tls(struct change *change, const struct part *part,
                     const Nantian__Config__V1__Listener *message, struct part_listener *made)
{
    const Nantian__Config__V1__Listener__Tls *tls = message->tls;
    struct listener_config *config = made->config;
    if (config->protocol != LISTENER_HTTPS && config->protocol != LISTENER_TLS) {
        if (tls != NULL)
            refuse(change, part, "tls", "is set, but the protocol has no TLS");
        return;
    }
    config->passthrough = tls != NULL && tls->passthrough;
    if (config->passthrough && config->protocol == LISTENER_HTTPS)
        refuse(change, part, "tls.passthrough", "is for listeners of protocol TLS alone");
    if (config->passthrough)
        return;
    if (tls == NULL || tls->n_secrets == 0) {
        refuse(change, part, "tls.secrets", "names no certificate");
        return;
    }
    made->secrets = memory_alloc(sizeof(struct part *) * tls->n_secrets);
    config->certificates = arena_array(&config->arena, struct tls_certificate *, tls->n_secrets);
    for (size_t i = 0; i < tls->n_secrets; i++) {
        const char *field = arena_printf(&change->scratch, "tls.secrets[%zu]", i).data;
        struct part *secret = need_secret(change, part, tls->secrets[i], field);
        if (secret == NULL)
            continue;
        made->secrets[made->secret_count++] = secret;
        struct tls_certificate *certificate = secret_of(secret)->certificate;
        if (certificate == NULL)
            refuse(change, part, field, "names a secret without a certificate");
        else
            config->certificates[config->certificate_count++] = tls_certificate_ref(certificate);
    }
    made->client_optional = tls->client_optional;
    if (tls->client_ca_secret[0] != '\0')
        made->client_ca = need_secret(change, part, tls->client_ca_secret, "tls.client_ca_secret");
    if (made->client_ca != NULL && secret_of(made->client_ca)->ca.len == 0)
        refuse(change, part, "tls.client_ca_secret", "names a secret without a CA");
}

static void take_addresses(struct change *change, const struct part *part,
                           const Nantian__Config__V1__Listener *message, struct part_listener *made)
{
    const struct compile *compile = change->compile;
    size_t count = message->n_addresses > 0 ? message->n_addresses : compile->address_count;
    made->addresses = memory_alloc(sizeof(struct address) * MAX(count, (size_t)1));
    for (size_t i = 0; i < count; i++) {
        struct address address;
        if (message->n_addresses == 0) {
            address = compile->addresses[i];
            address_set_port(&address, (uint16_t)message->port);
        } else if (!address_parse(text_of(message->addresses[i]), (uint16_t)message->port,
                                  &address)) {
            refuse(change, part, arena_printf(&change->scratch, "addresses[%zu]", i).data,
                   "is not an IP address");
            continue;
        }
        bool twice = false;
        for (uint32_t k = 0; k < made->address_count; k++)
            twice = twice || address_equal(&made->addresses[k], &address);
        if (!twice)
            made->addresses[made->address_count++] = address;
    }
}

static struct listener_config *config_new(size_t text_bytes)
{
    struct arena arena;
    arena_init(&arena, sizeof(struct listener_config) + text_bytes + 128);
    struct listener_config *config = arena_new(&arena, struct listener_config);
    atomic_init(&config->refs, 1);
    config->arena = arena;
    return config;
}

struct listener_config *compile_listener_copy(const struct listener_config *from,
                                              struct route_table *routes)
{
    struct listener_config *made =
        config_new(from->resource.len + from->gateway.len + from->name.len + from->hostname.len);
    struct arena arena = made->arena;
    *made = *from;
    atomic_init(&made->refs, 1);
    made->arena = arena;
    made->resource = arena_text(&made->arena, from->resource);
    made->gateway = arena_text(&made->arena, from->gateway);
    made->name = arena_text(&made->arena, from->name);
    made->hostname = arena_text(&made->arena, from->hostname);
    made->certificates =
        arena_array(&made->arena, struct tls_certificate *, from->certificate_count + 1);
    for (uint32_t i = 0; i < from->certificate_count; i++)
        made->certificates[i] = tls_certificate_ref(from->certificates[i]);
    made->routes = route_table_ref(routes);
    return made;
}

void compile_listener(struct change *change, struct part *part)
{
    Nantian__Config__V1__Listener *message =
        part_message(change, part, &nantian__config__v1__listener__descriptor, part_bytes(part));
    if (message == NULL)
        return;
    part_slot(change, part);
    struct part_listener *made = memory_new(struct part_listener);
    struct listener_config *config = made->config =
        config_new(part->name.len + strlen(message->gateway) + strlen(message->name) +
                   strlen(message->hostname));
    part->next = made;
    config->resource = arena_text(&config->arena, part->name);
    config->gateway = arena_text(&config->arena, text_of(message->gateway));
    config->name = arena_text(&config->arena, text_of(message->name));
    config->hostname = arena_text(&config->arena, text_of(message->hostname));
    config->protocol = (enum listener_protocol)message->protocol;
    config->port = (uint16_t)message->port;
    config->slot = part->slot;
    config->proxy_protocol = message->proxy_protocol;
    if (config->protocol < LISTENER_HTTP || config->protocol > LISTENER_UDP)
        refuse(change, part, "protocol", "is none that this proxy knows");
    if (message->port == 0 || message->port > UINT16_MAX)
        refuse(change, part, "port", "is not between 1 and 65535");
    if (config->hostname.len > 0 && !compile_hostname_is_valid(config->hostname))
        refuse(change, part, "hostname", "is not a host name in lower case");
    take_addresses(change, part, message, made);
    take_tls(change, part, message, made);
    config->limits = limits_of(change, part); /* last: the message is gone after it */
}
