/* TLS contexts: what a listener or an upstream demands of a handshake, and the words for failures.
 * Only calls that AWS-LC and OpenSSL 3.0 share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"
#include "net/address.h"
#include "net/tls_internal.h"

/* TLS 1.2: forward secret and authenticated only. TLS 1.3 has no others. */
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static void set_alpn(struct tls_context *context, const char *const *alpn)
{
    for (; alpn != NULL && *alpn != NULL; alpn++) {
        size_t len = strlen(*alpn);
        CHECK(len > 0 && len < 256); /* constants of ours */
        context->alpn = memory_resize(context->alpn, context->alpn_len + 1 + len);
        context->alpn[context->alpn_len] = (uint8_t)len;
        memcpy(&context->alpn[context->alpn_len + 1], *alpn, len);
        context->alpn_len += 1 + len;
    }
}

static struct tls_context *context_new(bool is_server, const char *const *alpn)
{
    struct tls_context *context = memory_new(struct tls_context);
    context->references = 1;
    context->is_server = is_server;
    context->library = SSL_CTX_new(TLS_method());
    CHECK(context->library != NULL);
    SSL_CTX *library = context->library;
    CHECK(SSL_CTX_set_min_proto_version(library, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set_cipher_list(library, CIPHERS) == 1);
    SSL_CTX_set_options(library, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(library, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(library, SSL_SESS_CACHE_OFF);
    set_alpn(context, alpn);
    return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    if (context != NULL)
        context->references++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (context == NULL || --context->references > 0)
        return;
    SSL_CTX_free(context->library);
    tls_certificate_unref(context->certificate);
    tls_tickets_unref(context->tickets);
    X509_STORE_free(context->client_store);
    sk_X509_NAME_pop_free(context->client_issuers, X509_NAME_free);
    for (size_t i = 0; i < context->name_count; i++)
        free((void *)(uintptr_t)context->names[i].data);
    free(context->names);
    free(context->alpn);
    free(context);
}

bool tls_context_is_shared(const struct tls_context *context)
{
    return context->references > 1;
}

static struct tls_context *refuse(struct tls_context *context, const char *why,
                                  const char **ret_why)
{
    ERR_clear_error();
    tls_context_unref(context);
    *ret_why = why;
    return NULL;
}

/* The name as rules are written: lower case. False when no host could be called so. */
static bool keep_server_name(struct tls_session *session, const char *name)
{
    struct text text = text_of(name);
    if (text.len > LIMIT_HOSTNAME)
        return false;
    char *copy = memory_string(text);
    for (size_t i = 0; i < text.len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] - 'A' + 'a');
    }
    free(session->server_name);
    session->server_name = copy;
    return true;
}

static struct tls_certificate *pick(struct tls_session *session, struct tls_context **ret_rules)
{
    const struct tls_context *context = session->context;
    const struct stream *stream = session->stream;
    void *asked = stream->chooser != NULL ? stream->chooser : stream->owner;
    struct tls_hello hello = {text_of(session->server_name), session->verifies};
    return context->pick == NULL ? context->certificate : context->pick(asked, &hello, ret_rules);
}

/* A name that goes on behind a NUL means one thing to who compares bytes and another to who prints
 * them: no certificate of such a chain is good, whoever signed it (CVE-2026-47778). */
static int verify_names(int is_good, X509_STORE_CTX *chain)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
    if (is_good == 0 || certificate == NULL || tls_certificate_names_are_plain(certificate))
        return is_good;
    X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSUPPORTED_NAME_SYNTAX);
    return 0;
}

/* Whoever was let in without a good certificate is nobody. */
static int let_pass(int is_good, X509_STORE_CTX *chain)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    if (verify_names(is_good, chain) == 0)
        session->peer_doubtful = true;
    return 1;
}

/* A session is taken up only where it was given: at that address, for that name, under those rules
 * (RFC 6066 3; CVE-2025-23419). */
static bool bind_sessions(SSL *ssl, const struct tls_session *session,
                          const struct tls_context *rules)
{
    struct address local = {.len = sizeof(local.storage)};
    if (getsockname(session->stream->watch.fd, &local.any, &local.len) != 0)
        local.len = 0;
    struct text name = text_of(session->server_name);
    char where[sizeof(rules->session_scope) + sizeof(local.storage) + LIMIT_HOSTNAME];
    size_t len = sizeof(rules->session_scope);
    memcpy(where, rules->session_scope, len);
    memcpy(where + len, &local.storage, MIN((size_t)local.len, sizeof(local.storage)));
    len += MIN((size_t)local.len, sizeof(local.storage));
    memcpy(where + len, name.data, name.len);
    struct digest scope = hash_digest(text_from(where, len + name.len));
    return SSL_set_session_id_context(ssl, (const uint8_t *)&scope, sizeof(scope)) == 1;
}

/* What the rules ask of clients, and which sessions may be resumed under them. */
static bool follow(SSL *ssl, const struct tls_session *session, const struct tls_context *rules)
{
    bool must = (rules->client_verify & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0;
    SSL_set_verify(ssl, rules->client_verify, must ? verify_names : let_pass);
    if (rules->client_store != NULL) {
        SSL_set_client_CA_list(ssl, SSL_dup_CA_list(rules->client_issuers));
        if (SSL_set1_verify_cert_store(ssl, rules->client_store) != 1)
            return false;
    }
    return bind_sessions(ssl, session, rules);
}

/* The client hello is read: finds the certificate and moves the handshake to it. */
static int on_server_name(SSL *ssl, int *alert, void *unused)
{
    (void)unused;
    struct tls_session *session = SSL_get_app_data(ssl);
    struct tls_context *rules = session->context;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    struct tls_certificate *certificate = NULL;
    if (keep_server_name(session, name == NULL ? "" : name))
        certificate = pick(session, &rules);
    if (certificate == NULL) {
        session->name_refused = true;
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (rules != session->context) {
        (void)tls_context_ref(rules);
        tls_context_unref(session->context);
        session->context = rules;
    }
    /* The move takes over more than the certificate: what the rules say comes after it. */
    if (SSL_set_SSL_CTX(ssl, tls_certificate_library(certificate)) == NULL ||
        !follow(ssl, session, rules)) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

static bool ask_clients(struct tls_context *context, const struct tls_server_options *options)
{
    context->client_store = X509_STORE_new();
    context->client_issuers = sk_X509_NAME_new_null();
    CHECK(context->client_store != NULL && context->client_issuers != NULL);
    if (tls_certificate_load_store(context->client_store, context->client_issuers,
                                   options->client_ca_pem) <= 0)
        return false;
    context->client_verify = SSL_VERIFY_PEER;
    if (options->client_certificate_required)
        context->client_verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    return true;
}

struct tls_context *tls_server_new(const struct tls_server_options *options, const char **ret_why)
{
    struct tls_context *context = context_new(true, options->alpn);
    SSL_CTX *library = context->library;
    CHECK(options->pick != NULL || options->certificate != NULL);
    context->pick = options->pick;
    context->admit = options->admit;
    if (options->certificate != NULL)
        context->certificate = tls_certificate_ref(options->certificate);
    tls_choice_watch(library);
    SSL_CTX_set_tlsext_servername_callback(library, on_server_name);
    SSL_CTX_set_alpn_select_cb(library, tls_certificate_alpn, NULL);

    if (options->client_ca_pem.len > 0) {
        if (!ask_clients(context, options))
            return refuse(context, "the client CA certificates cannot be read", ret_why);
    } else if (options->client_certificate_required) {
        return refuse(context, "client certificates are required without a CA", ret_why);
    }
    struct digest scope = hash_digest(options->client_ca_pem);
    scope.low ^= options->client_certificate_required;
    memcpy(context->session_scope, &scope, sizeof(context->session_scope));
    CHECK(SSL_CTX_set_session_id_context(library, context->session_scope,
                                         sizeof(context->session_scope)) == 1);

    if (options->tickets == NULL) {
        SSL_CTX_set_options(library, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(library, 0);
    } else {
        context->tickets = tls_tickets_ref(options->tickets);
        tls_tickets_use(library);
    }
    return context;
}

static bool peer_has_a_name(const struct tls_session *session, X509 *certificate)
{
    const struct tls_context *context = session->context;
    if (context->name_count == 0)
        return tls_certificate_matches(certificate, text_of(session->server_name));
    for (size_t i = 0; i < context->name_count; i++) {
        if (tls_certificate_matches(certificate, context->names[i]))
            return true;
    }
    return false;
}

/* The chain, then the name: a chain alone proves nothing about who it is. */
static int verify_server(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_session *session = SSL_get_app_data(ssl);
    if (X509_verify_cert(chain) != 1)
        return 0;
    if (peer_has_a_name(session, X509_STORE_CTX_get0_cert(chain)))
        return 1;
    X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

static bool trust_system(SSL_CTX *library)
{
    static const char *const bundles[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
        "/etc/ssl/cert.pem",
    };
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        if (access(bundles[i], R_OK) == 0)
            return SSL_CTX_load_verify_locations(library, bundles[i], NULL) == 1;
    }
    return SSL_CTX_set_default_verify_paths(library) == 1;
}

static bool present(SSL_CTX *library, struct tls_certificate *certificate)
{
    SSL_CTX *from = tls_certificate_library(certificate);
    STACK_OF(X509) *chain = NULL;
    return SSL_CTX_use_certificate(library, SSL_CTX_get0_certificate(from)) == 1 &&
           SSL_CTX_use_PrivateKey(library, SSL_CTX_get0_privatekey(from)) == 1 &&
           SSL_CTX_get0_chain_certs(from, &chain) == 1 &&
           (chain == NULL || SSL_CTX_set1_chain(library, chain) == 1);
}

static void keep_names(struct tls_context *context, const struct tls_client_options *options)
{
    if (options->name_count == 0)
        return;
    context->names = memory_alloc(options->name_count * sizeof(struct text));
    context->name_count = options->name_count;
    for (size_t i = 0; i < options->name_count; i++)
        context->names[i] = text_from(memory_string(options->names[i]), options->names[i].len);
}

struct tls_context *tls_client_new(const struct tls_client_options *options, const char **ret_why)
{
    struct tls_context *context = context_new(false, options->alpn);
    SSL_CTX *library = context->library;
    context->insecure = options->insecure;
    keep_names(context, options);
    if (context->alpn_len > 0)
        CHECK(SSL_CTX_set_alpn_protos(library, context->alpn, (unsigned)context->alpn_len) == 0);

    if (options->insecure) {
        SSL_CTX_set_verify(library, SSL_VERIFY_NONE, NULL);
    } else {
        SSL_CTX_set_verify(library, SSL_VERIFY_PEER, verify_names);
        SSL_CTX_set_cert_verify_callback(library, verify_server, NULL);
    }
    if (options->ca_pem.len > 0) {
        if (tls_certificate_load_store(SSL_CTX_get_cert_store(library), NULL, options->ca_pem) <= 0)
            return refuse(context, "the CA certificates cannot be read", ret_why);
    } else if (!options->insecure && !trust_system(library)) {
        return refuse(context, "the system has no CA certificates", ret_why);
    }
    if (options->certificate != NULL && !present(library, options->certificate))
        return refuse(context, "the TLS library refuses the client certificate", ret_why);
    ERR_clear_error();
    return context;
}

static bool set_server_name(SSL *ssl, const char *name)
{
    struct address address;
    if (name[0] == 0 || address_parse(text_of(name), 0, &address))
        return true; /* SNI carries host names only */
    return SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *tls_context_session(struct tls_context *context, struct tls_session *session,
                         struct text server_name, const char **ret_why)
{
    SSL *ssl = SSL_new(context->library);
    CHECK(ssl != NULL);
    SSL_set_app_data(ssl, session);
#ifdef OPENSSL_IS_AWSLC
    SSL_set_shed_handshake_config(ssl, 1);
#endif
    if (context->is_server) {
        session->server_name = memory_string(TEXT(""));
        SSL_set_accept_state(ssl);
        return ssl;
    }
    session->server_name = memory_string(server_name);
    if (!context->insecure && context->name_count == 0 && server_name.len == 0)
        *ret_why = "tls: no name to verify the peer by";
    else if (server_name.len > LIMIT_HOSTNAME || !set_server_name(ssl, session->server_name))
        *ret_why = "tls: the server name is not one";
    else {
        SSL_set_connect_state(ssl);
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

static const char *verify_words(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "tls: the peer's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "tls: the peer's certificate is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "tls: the peer's certificate is from an unknown authority";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "tls: the peer's certificate is for another name";
    case X509_V_ERR_INVALID_PURPOSE:
        return "tls: the peer's certificate is for another purpose";
    case X509_V_ERR_UNSUPPORTED_NAME_SYNTAX:
        return "tls: the peer's certificate has a name that cannot be read";
    case X509_V_ERR_CERT_REVOKED:
        return "tls: the peer's certificate is revoked";
    default:
        return "tls: the peer's certificate cannot be trusted";
    }
}

/* What the peer said before it hung up (RFC 8446 6.2). */
static const char *alert_words(int alert)
{
    switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
        return "tls: the peer refused: nothing in common (handshake_failure)";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
        return "tls: the peer refused our certificate";
    case SSL_AD_CERTIFICATE_REVOKED:
        return "tls: the peer calls our certificate revoked";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "tls: the peer calls our certificate expired";
    case SSL_AD_UNKNOWN_CA:
        return "tls: the peer does not know our certificate's authority";
    case SSL_AD_ACCESS_DENIED:
        return "tls: the peer denied access";
    case SSL_AD_PROTOCOL_VERSION:
        return "tls: the peer refused the TLS version";
    case SSL_AD_UNRECOGNIZED_NAME:
        return "tls: the peer does not know the server name";
    case 116: /* certificate_required */
        return "tls: the peer wants a client certificate";
    case 120: /* no_application_protocol */
        return "tls: the peer speaks no protocol of ours (ALPN)";
    default:
        return "tls: the peer broke off with an alert";
    }
}

enum err tls_context_why(struct tls_session *session, const char **ret_why)
{
    int reason = ERR_GET_REASON(ERR_peek_error());
    enum err err = ERR_PROTOCOL;
    if (session->name_refused) {
        *ret_why = "tls: no certificate for the server name";
        err = ERR_REFUSED;
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        *ret_why = verify_words(SSL_get_verify_result(session->ssl));
        err = ERR_REFUSED;
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        *ret_why = "tls: the client sent no certificate";
        err = ERR_REFUSED;
    } else if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
        *ret_why = alert_words(reason - SSL_AD_REASON_OFFSET);
        err = ERR_REFUSED;
    } else if (reason == SSL_R_HTTP_REQUEST) {
        *ret_why = "tls: the peer spoke plain HTTP";
    } else if (reason == SSL_R_WRONG_VERSION_NUMBER) {
        *ret_why = "tls: the peer does not speak TLS";
    } else if (reason == SSL_R_UNSUPPORTED_PROTOCOL) {
        *ret_why = "tls: the peer's TLS version is too old";
    } else if (reason == SSL_R_NO_SHARED_CIPHER) {
        *ret_why = "tls: no cipher in common";
    } else if (reason == SSL_R_NO_APPLICATION_PROTOCOL) {
        *ret_why = "tls: no application protocol in common (ALPN)";
    } else {
        *ret_why = "tls: broken records or messages";
    }
    ERR_clear_error();
    return err;
}

void tls_seed(void)
{
    unsigned char byte;
    (void)RAND_bytes(&byte, 1);
}

const char *tls_library(void)
{
#ifdef OPENSSL_IS_AWSLC
    return "AWS-LC " AWSLC_VERSION_NUMBER_STRING;
#else
    return "OpenSSL " OPENSSL_FULL_VERSION_STR;
#endif
}
