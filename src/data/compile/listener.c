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
    for (uint32_t i = 0; i < listener->client_ca_count; i++)
        part_use(change, listener->client_cas[i], delta);
}

static void take_certificates(struct change *change, const struct part *part,
                              const Nantian__Config__V1__Listener__Tls *tls,
                              struct part_listener *made)
{
    struct listener_config *config = made->config;
    struct compile_names names = {tls->secrets, tls->n_secrets, "tls.secrets"};
    made->secrets = memory_alloc(sizeof(struct part *) * tls->n_secrets);
    made->secret_count = compile_find_secrets(change, part, &names, made->secrets);
    config->certificates = arena_array(&config->arena, struct tls_certificate *, tls->n_secrets);
    for (uint32_t i = 0; i < made->secret_count; i++) {
        struct tls_certificate *certificate = part_secret_next(made->secrets[i])->certificate;
        if (certificate == NULL)
            refuse(change, part, arena_printf(&change->scratch, "tls.secrets[%u]", i).data,
                   "names a secret without a certificate");
        else
            config->certificates[config->certificate_count++] = tls_certificate_ref(certificate);
    }
}

/* An unknown CA must not let everybody in: without faults, or not at all. */
static void take_rules(struct change *change, const struct part *part,
                       const Nantian__Config__V1__Listener__Tls *tls, struct part_listener *made)
{
    struct listener_config *config = made->config;
    struct compile_names names = {tls->client_ca_secrets, tls->n_client_ca_secrets,
                                  "tls.client_ca_secrets"};
    made->client_cas = memory_alloc(sizeof(struct part *) * MAX(names.count, (size_t)1));
    made->client_ca_count = compile_find_secrets(change, part, &names, made->client_cas);
    struct compile_demand demand = {
        .is_http = config->protocol == LISTENER_HTTPS,
        .client_required = names.count > 0 && !tls->client_optional,
        .ca_pem = compile_join_cas(change, part, made->client_cas, made->client_ca_count,
                                   "tls.client_ca_secrets"),
    };
    if (made->client_ca_count < names.count)
        return;
    const char *why = NULL;
    config->tls = compile_rules(change->compile, &demand, &why);
    if (config->tls == NULL)
        refuse(change, part, "tls", why == NULL ? "cannot be used" : why);
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
    take_certificates(change, part, tls, made);
    take_rules(change, part, tls, made);
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
    const size_t facts = offsetof(struct listener_config, resource);
    /* Not what is before them: workers count the references of the old one meanwhile. */
    memcpy((char *)made + facts, (const char *)from + facts, sizeof(*made) - facts);
    made->resource = arena_text(&made->arena, from->resource);
    made->gateway = arena_text(&made->arena, from->gateway);
    made->name = arena_text(&made->arena, from->name);
    made->hostname = arena_text(&made->arena, from->hostname);
    made->certificates =
        arena_array(&made->arena, struct tls_certificate *, from->certificate_count + 1);
    for (uint32_t i = 0; i < from->certificate_count; i++)
        made->certificates[i] = tls_certificate_ref(from->certificates[i]);
    if (from->tls != NULL)
        made->tls = tls_context_ref(from->tls);
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
