/* By building it as the data plane does. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_check.h"

#include "base/clock.h"
#include "net/tls.h"

bool tls_check_certificate(struct text chain_pem, struct text key_pem, struct arena *arena,
                           struct text *ret_why)
{
    const char *why = NULL;
    struct tls_certificate *certificate = tls_certificate_new(chain_pem, key_pem, &why);
    *ret_why = certificate == NULL
                   ? text_of(why)
                   : tls_certificate_doubt(certificate, clock_wall_ns() / 1000000000u, arena);
    tls_certificate_unref(certificate);
    return certificate != NULL;
}

bool tls_check_ca(struct text pem, struct arena *arena, struct text *ret_why)
{
    (void)arena;
    const char *why = NULL;
    struct tls_context *context = tls_client_new(&(struct tls_client_options){.ca_pem = pem}, &why);
    *ret_why = text_of(why);
    tls_context_unref(context);
    return context != NULL;
}
