/* What the files behind net/tls.h and net/stream.c share: contexts and sessions from the inside. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_stream.h"

struct tls_context {
    _Atomic uint32_t references;
    SSL_CTX *library; /* owns */
    bool is_server;
    uint8_t *alpn; /* owns; wire form, in order of preference */
    size_t alpn_len;
    /* Servers. */
    tls_pick pick;
    tls_admit admit;
    struct tls_certificate *certificate;  /* shares; without pick */
    X509_STORE *client_store;             /* owns; NULL: no client certificate is asked */
    STACK_OF(X509_NAME) * client_issuers; /* owns */
    int client_verify;                    /* SSL_VERIFY_*: what is asked of clients */
    struct tls_tickets *tickets;          /* shares; NULL: none */
    uint8_t session_scope[16]; /* sessions resume only among contexts that ask clients the same */
    /* Clients. */
    bool insecure;
    struct text *names; /* owns, and each one's bytes */
    size_t name_count;
};

struct tls_session {
    SSL *ssl;                    /* owns */
    BIO_METHOD *method;          /* owns; how `ssl` reaches the buffers below */
    struct tls_context *context; /* shares */
    struct stream *stream;       /* borrows; it owns us */
    struct buffer in;            /* from the wire, not deciphered */
    struct buffer out;           /* records that the kernel did not take yet */
    char *server_name;           /* owns; "" when none */
    char *peer_name;             /* owns; NULL until asked */
    int wire_errno;              /* reading failed */
    bool wire_ready;             /* the kernel may have bytes */
    bool wire_ended;             /* the peer closed its side */
    bool end_wanted;             /* shut the socket down once `out` is gone */
    bool name_refused;           /* `pick` had no certificate */
    bool peer_doubtful;          /* the client's certificate was let pass unverified */
    bool is_admitted;            /* was asked, and may go on */
    bool has_greeted;            /* the client hello came */
    bool name_changed;           /* another came, with another name */
    uint32_t verifies;           /* of the client hello: tls_choice.c */
};

/* tls.c */
SSL *tls_context_session(struct tls_context *context, struct tls_session *session,
                         struct text server_name, const char **ret_why);
/* Words and kind of the failure that the library reported last for this session. */
enum err tls_context_why(struct tls_session *session, const char **ret_why);

/* tls_choice.c: notes what each client can verify, and whether it asks for another name later. */
void tls_choice_watch(SSL_CTX *library);

/* tls_tickets.c */
void tls_tickets_use(SSL_CTX *library);

/* certificate.c */
SSL_CTX *tls_certificate_library(struct tls_certificate *certificate);
/* Picks by our preference from the client's offers; for every context a handshake may be on. */
int tls_certificate_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                         unsigned in_len, void *unused);
/* False when its alternative names cannot be read, or one of them has a NUL. */
bool tls_certificate_names_are_plain(X509 *certificate);
bool tls_certificate_matches(X509 *certificate, struct text name);
char *tls_certificate_first_name(X509 *certificate); /* the caller frees */
/* Every certificate of a PEM text into the store; returns how many, -1 if one is damaged. */
int tls_certificate_load_store(X509_STORE *store, STACK_OF(X509_NAME) * issuers, struct text pem);
