/* Key material as listeners and backends use it: what TLS asks of clients, and bundles of CAs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"
#include "base/memory.h"
#include "data/compile/part.h"

struct tls_context *compile_rules(struct compile *compile, const struct compile_demand *demand,
                                  const char **ret_why)
{
    static const char *const ALPN[] = {"h2", "http/1.1", NULL};
    struct builder key = {0};
    builder_printf(&key, "%d %d ", demand->is_http, demand->client_required);
    builder_add(&key, demand->ca_pem);
    struct digest spec = hash_digest(builder_text(&key));
    builder_fini(&key);
    for (size_t i = 0; i < compile->rules_count; i++) {
        if (digest_equal(compile->rules[i].spec, spec))
            return tls_context_ref(compile->rules[i].context);
    }
    struct tls_server_options options = {
        .pick = compile->options.pick,
        .admit = compile->options.admit,
        .client_ca_pem = demand->ca_pem,
        .client_certificate_required = demand->client_required,
        .tickets = compile->tickets,
    };
    if (demand->is_http)
        options.alpn = compile->options.alpn != NULL ? compile->options.alpn : ALPN;
    struct tls_context *made = tls_server_new(&options, ret_why);
    if (made == NULL)
        return NULL;
    compile->rules = memory_grow(compile->rules, compile->rules_count, &compile->rules_cap,
                                 sizeof(*compile->rules));
    compile->rules[compile->rules_count++] = (struct compile_rules){spec, made};
    return tls_context_ref(made);
}

void compile_rules_sweep(struct compile *compile)
{
    size_t kept = 0;
    for (size_t i = 0; i < compile->rules_count; i++) {
        if (tls_context_is_shared(compile->rules[i].context))
            compile->rules[kept++] = compile->rules[i];
        else
            tls_context_unref(compile->rules[i].context);
    }
    compile->rules_count = kept;
}

uint32_t compile_find_secrets(struct change *change, const struct part *part,
                              const struct compile_names *names, struct part **out)
{
    uint32_t count = 0;
    for (size_t i = 0; i < names->count; i++) {
        struct part *secret = part_find(change->compile, RESOURCE_SECRET, text_of(names->items[i]));
        if (part_will_be(secret) && part_secret_next(secret) != NULL) {
            out[count++] = secret;
            continue;
        }
        struct text field = arena_printf(&change->scratch, "%s[%zu]", names->field, i);
        struct fault fault = part_fault(change, part, "UnknownSecret", field);
        faults_add(change->faults, &fault, "there is no Secret \"%s\"", names->items[i]);
    }
    return count;
}

struct text compile_join_cas(struct change *change, const struct part *part,
                             struct part *const *secrets, uint32_t count, const char *field)
{
    if (count == 1 && part_secret_next(secrets[0])->ca.len > 0)
        return part_secret_next(secrets[0])->ca;
    struct builder all = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct text ca = part_secret_next(secrets[i])->ca;
        builder_add(&all, ca);
        builder_add_char(&all, '\n');
        if (ca.len > 0)
            continue;
        struct text place = arena_printf(&change->scratch, "%s[%u]", field, i);
        struct fault fault = part_fault(change, part, "InvalidSecret", place);
        faults_add(change->faults, &fault, "names a secret without a CA");
    }
    struct text joined = count == 0 ? TEXT_NONE : arena_text(&change->scratch, builder_text(&all));
    builder_fini(&all);
    return joined;
}
