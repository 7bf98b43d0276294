/* Key material: a chain with its key, a bundle of authorities, or both. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "data/compile/part.h"
#include "nantian/config/v1/secret.pb-c.h"

static void refuse(struct change *change, const struct part *part, const char *field,
                   const char *why)
{
    struct fault fault = part_fault(change, part, "InvalidSecret", text_of(field));
    fault.hint = TEXT("PEM is wanted, and a key that belongs to the first certificate");
    faults_add(change->faults, &fault, "%s", why == NULL ? "cannot be used" : why);
}

void compile_secret(struct change *change, struct part *part)
{
    Nantian__Config__V1__Secret *message =
        part_message(change, part, &nantian__config__v1__secret__descriptor,
                     text_from(part->next_bytes, part->next_bytes_len));
    if (message == NULL)
        return;
    struct text chain = unpack_bytes(&message->certificate_chain);
    struct text key = unpack_bytes(&message->private_key), ca = unpack_bytes(&message->ca);
    struct part_secret *secret = memory_new(struct part_secret);
    part->next = secret;
    const char *why = NULL;
    if (chain.len == 0 && key.len == 0 && ca.len == 0)
        refuse(change, part, "certificate_chain", "holds neither a certificate nor a CA");
    if (chain.len > 0 || key.len > 0) {
        secret->certificate = tls_certificate_new(chain, key, &why);
        if (secret->certificate == NULL)
            refuse(change, part,
                   tls_certificate_check(chain) != NULL ? "certificate_chain" : "private_key", why);
    }
    if (ca.len > 0) {
        /* A context that is thrown away: the library is the judge of what a bundle is. */
        struct tls_client_options options = {.ca_pem = ca};
        struct tls_context *context = tls_client_new(&options, &why);
        if (context == NULL)
            refuse(change, part, "ca", why);
        tls_context_unref(context);
        secret->ca = text_from(memory_string(ca), ca.len);
    }
}
