/* The door to the TLS library. Contexts are immutable once built and may be shared by threads. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/text.h"
#include "net/address.h"

struct tls_context;
struct tls_certificate; /* a chain and its key, parsed and checked to match */

/* PEM in; NULL and words in *ret_why (static) when it cannot be used. One owner count each. */
struct tls_certificate *tls_certificate_new(struct text chain_pem, struct text key_pem,
                                            const char **ret_why);
/* NULL: a chain that can be used; else words (static). */
const char *tls_certificate_check(struct text chain_pem);
struct tls_certificate *tls_certificate_ref(struct tls_certificate *certificate);
void tls_certificate_unref(struct tls_certificate *certificate);
uint64_t tls_certificate_not_after(const struct tls_certificate *certificate); /* seconds, 1970 */
/* Why clients may refuse it at `now` (seconds, 1970) though it can be used; empty: nothing is
 * known. */
struct text tls_certificate_doubt(const struct tls_certificate *certificate, uint64_t now,
                                  struct arena *arena);
/* DNS names and URIs it is for (the common name if it has none); live as long as it does. */
const struct text *tls_certificate_names(const struct tls_certificate *certificate,
                                         size_t *ret_count);

/* What a client says in its first message, as far as the choice of a certificate goes by it. */
struct tls_hello {
    struct text server_name; /* lower case; may be empty */
    uint32_t verifies;       /* kinds of keys whose signatures it can check: for tls_choose */
};

/* Which certificate answers: asked on the stream's thread during the handshake, with
 * stream->chooser. The owner keeps its
 * count; it must live until the call is over. NULL refuses: the connection ends with
 * unrecognized_name. *ret_rules is the context that the stream began with; another one may be put
 * in its place, whose ALPN and demands on client certificates then hold. */
typedef struct tls_certificate *(*tls_pick)(void *owner, const struct tls_hello *hello,
                                            struct tls_context **ret_rules);
/* Whether a handshake may begin: asked on the stream's thread with stream->chooser, when the
 * client's first bytes have come and before anything is computed of them. */
typedef bool (*tls_admit)(void *owner, const struct address *peer);
/* The best of several: one for the very name, then one whose wildcard covers it, then any; among
 * equals one that the client can verify, ECDSA first. NULL when there are none. */
struct tls_certificate *tls_choose(struct tls_certificate *const *certificates, size_t count,
                                   const struct tls_hello *hello);

/* The keys of session tickets: new ones every `period_ms`, the last ones still good for resuming,
 * older ones forgotten. Counted; shared by threads. */
struct tls_tickets;
struct tls_tickets *tls_tickets_new(uint64_t period_ms);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets);
void tls_tickets_unref(struct tls_tickets *tickets);

struct tls_server_options {
    tls_pick pick;                       /* with `owner` of the stream that shakes hands */
    struct tls_certificate *certificate; /* for every name, when `pick` is NULL; shares */
    tls_admit admit;                     /* NULL: all */
    const char *const *alpn;             /* in order of preference, NULL-terminated; NULL: none */
    struct text client_ca_pem;           /* empty: no client certificate is asked */
    bool client_certificate_required;    /* false: none, or a bad one, will do as well */
    struct tls_tickets *tickets;         /* shares; NULL: no tickets */
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
bool tls_context_is_shared(const struct tls_context *context); /* by more than the caller */
/* Starts this thread's random generator: the first bytes of a thread take some tenths of a second,
 * which no handshake should wait for. */
void tls_seed(void);
/* "AWS-LC 5.12.0" or "OpenSSL 3.0.17": what is linked. */
const char *tls_library(void);
