/* The door to the TLS library. Contexts are immutable once built and may be shared by threads. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/fault.h"
#include "base/text.h"

struct tls_context;
struct tls_certificate; /* a chain and its key, parsed and checked to match */

/* PEM in; NULL and words in *ret_why (static) when it cannot be used. One owner count each. */
struct tls_certificate *tls_certificate_new(struct text chain_pem, struct text key_pem,
                                            const char **ret_why);
struct tls_certificate *tls_certificate_ref(struct tls_certificate *certificate);
void tls_certificate_unref(struct tls_certificate *certificate);
uint64_t tls_certificate_not_after(const struct tls_certificate *certificate); /* seconds, 1970 */
/* DNS names and URIs it is for (the common name if it has none); live as long as it does. */
const struct text *tls_certificate_names(const struct tls_certificate *certificate,
                                         size_t *ret_count);

/* Which certificate answers this server name (lower case, may be empty): asked on the stream's
 * thread during the handshake. The owner keeps its count; it must live until the call is over.
 * NULL refuses: the connection ends with unrecognized_name. */
typedef struct tls_certificate *(*tls_pick)(void *owner, struct text server_name);

struct tls_server_options {
    tls_pick pick;                       /* with `owner` of the stream that shakes hands */
    struct tls_certificate *certificate; /* for every name, when `pick` is NULL; shares */
    const char *const *alpn;             /* in order of preference, NULL-terminated; NULL: none */
    struct text client_ca_pem;           /* empty: no client certificate is asked */
    bool client_certificate_required;
    struct text ticket_keys; /* 48 random bytes, equal on all workers; empty: no tickets */
};
struct tls_context *tls_server_new(const struct tls_server_options *options, const char **ret_why);

struct tls_client_options {
    struct text ca_pem;                  /* empty: the system's */
    struct tls_certificate *certificate; /* presented if asked; shares */
    const char *const *alpn;
    const struct text *names; /* any one must match the peer's SAN; none: the server name */
    size_t name_count;
    bool insecure; /* no verification: tests only */
};
struct tls_context *tls_client_new(const struct tls_client_options *options, const char **ret_why);

struct tls_context *tls_context_ref(struct tls_context *context); /* atomic count */
void tls_context_unref(struct tls_context *context);
/* "AWS-LC 5.12.0" or "OpenSSL 3.0.17": what is linked. */
const char *tls_library(void);
