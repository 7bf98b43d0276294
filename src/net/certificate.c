/* Certificates: chains and keys from PEM, whom they are for, and how long. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "net/address.h"
#include "net/tls_internal.h"

struct tls_certificate {
    _Atomic uint32_t references;
    SSL_CTX *library; /* owns; holds chain and key, a handshake moves to it */
    uint64_t not_before, not_after;
    int rsa_bits;       /* 0: another kind of key */
    struct text *names; /* owns, and each one's bytes */
    size_t name_count, name_cap;
};

static BIO *open_pem(struct text pem)
{
    return pem.len == 0 || pem.len > INT_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);
}

/* An encrypted key is refused, not asked about on the terminal. */
static int no_password(char *out, int size, int writing, void *unused)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)unused;
    return -1;
}

/* True at the end of the PEM text; false when what follows is damaged. */
static bool pem_ended(void)
{
    uint32_t last = (uint32_t)ERR_peek_last_error();
    bool ended = last == 0 ||
                 (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    return ended;
}

static const char *load_chain(SSL_CTX *library, struct text pem)
{
    BIO *bio = open_pem(pem);
    if (bio == NULL)
        return "no PEM certificate was found";
    size_t count = 0;
    const char *why = NULL;
    X509 *item;
    while (why == NULL && (item = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        bool taken = count++ == 0 ? SSL_CTX_use_certificate(library, item) == 1
                                  : SSL_CTX_add1_chain_cert(library, item) == 1;
        X509_free(item);
        if (!taken)
            why = "the TLS library refuses the certificate (weak or unknown key)";
    }
    BIO_free(bio);
    if (why == NULL && !pem_ended())
        why = "the certificate is damaged";
    if (why == NULL && count == 0)
        why = "no PEM certificate was found";
    ERR_clear_error();
    return why;
}

/* TLS 1.3 signs with no other curve (RFC 8446 4.2.3), and so do we with 1.2. */
static bool curve_is_known(const EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) != EVP_PKEY_EC)
        return true;
    int curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
    return curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1;
}

static const char *load_key(SSL_CTX *library, struct text pem)
{
    BIO *bio = open_pem(pem);
    if (bio == NULL)
        return "no PEM private key was found";
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    const char *why = NULL;
    if (key == NULL)
        why = pem_ended() ? "no PEM private key was found" : "the key is damaged or encrypted";
    else if (X509_check_private_key(SSL_CTX_get0_certificate(library), key) != 1)
        why = "the key does not belong to the certificate, which must stand first";
    else if (!curve_is_known(key))
        why = "the key's curve is neither P-256, P-384 nor P-521";
    else if (SSL_CTX_use_PrivateKey(library, key) != 1)
        why = "the TLS library refuses the key";
    EVP_PKEY_free(key);
    ERR_clear_error();
    return why;
}

static struct text asn1_text(const ASN1_STRING *string)
{
    return text_from((const char *)ASN1_STRING_get0_data(string),
                     (size_t)ASN1_STRING_length(string));
}

/* The n-th DNS name or URI among the alternative names, from 0. */
static struct text san_at(const GENERAL_NAMES *sans, size_t n)
{
    for (size_t i = 0; sans != NULL && i < (size_t)sk_GENERAL_NAME_num(sans); i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, (int)i);
        if (san->type != GEN_DNS && san->type != GEN_URI)
            continue;
        if (n-- == 0)
            return asn1_text(san->d.ia5);
    }
    return TEXT_NONE;
}

static struct text common_name(X509 *certificate)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return TEXT_NONE;
    struct text name = asn1_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    return text_find(name, 0, 0) == name.len ? name : TEXT_NONE; /* the half would be another */
}

static void add_name(struct tls_certificate *certificate, struct text name)
{
    certificate->names = memory_grow(certificate->names, certificate->name_count,
                                     &certificate->name_cap, sizeof(struct text));
    certificate->names[certificate->name_count++] = text_from(memory_string(name), name.len);
}

/* Seconds since 1970; 0: before that, or no time at all. */
static uint64_t seconds_of(const ASN1_TIME *time)
{
    struct tm at;
    return ASN1_TIME_to_tm(time, &at) == 1 ? (uint64_t)MAX(timegm(&at), 0) : 0;
}

static void read_facts(struct tls_certificate *certificate)
{
    X509 *leaf = SSL_CTX_get0_certificate(certificate->library);
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    certificate->not_before = seconds_of(X509_get0_notBefore(leaf));
    certificate->not_after = seconds_of(X509_get0_notAfter(leaf));
    if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_RSA)
        certificate->rsa_bits = EVP_PKEY_bits(key);
    GENERAL_NAMES *sans = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (size_t i = 0; san_at(sans, i).len > 0; i++)
        add_name(certificate, san_at(sans, i));
    if (certificate->name_count == 0 && common_name(leaf).len > 0)
        add_name(certificate, common_name(leaf));
    GENERAL_NAMES_free(sans);
    ERR_clear_error();
}

struct tls_certificate *tls_certificate_new(struct text chain_pem, struct text key_pem,
                                            const char **ret_why)
{
    struct tls_certificate *certificate = memory_new(struct tls_certificate);
    certificate->references = 1;
    certificate->library = SSL_CTX_new(TLS_method());
    CHECK(certificate->library != NULL);
    SSL_CTX_set_alpn_select_cb(certificate->library, tls_certificate_alpn, NULL);
    const char *why = load_chain(certificate->library, chain_pem);
    if (why == NULL)
        why = load_key(certificate->library, key_pem);
    if (why != NULL) {
        *ret_why = why;
        tls_certificate_unref(certificate);
        return NULL;
    }
    read_facts(certificate);
    return certificate;
}

const char *tls_certificate_check(struct text chain_pem)
{
    SSL_CTX *library = SSL_CTX_new(TLS_method());
    CHECK(library != NULL);
    const char *why = load_chain(library, chain_pem);
    SSL_CTX_free(library);
    return why;
}

struct tls_certificate *tls_certificate_ref(struct tls_certificate *certificate)
{
    if (certificate != NULL)
        certificate->references++;
    return certificate;
}

void tls_certificate_unref(struct tls_certificate *certificate)
{
    if (certificate == NULL || --certificate->references > 0)
        return;
    SSL_CTX_free(certificate->library);
    for (size_t i = 0; i < certificate->name_count; i++)
        free((void *)(uintptr_t)certificate->names[i].data);
    free(certificate->names);
    free(certificate);
}

uint64_t tls_certificate_not_after(const struct tls_certificate *certificate)
{
    return certificate->not_after;
}

static struct text doubt_time(struct arena *arena, const char *words, uint64_t seconds)
{
    char time[25];
    clock_format(seconds * 1000000000u, time);
    return arena_printf(arena, "%s %.19sZ", words, time);
}

struct text tls_certificate_doubt(const struct tls_certificate *certificate, uint64_t now,
                                  struct arena *arena)
{
    if (certificate->not_after < now)
        return doubt_time(arena, "it expired at", certificate->not_after);
    if (certificate->not_before > now)
        return doubt_time(arena, "it is not valid before", certificate->not_before);
    if (certificate->rsa_bits > 0 && certificate->rsa_bits < 2048)
        return arena_printf(arena, "its RSA key has %d bits, fewer than 2048",
                            certificate->rsa_bits);
    return TEXT_NONE;
}

const struct text *tls_certificate_names(const struct tls_certificate *certificate,
                                         size_t *ret_count)
{
    *ret_count = certificate->name_count;
    return certificate->names;
}

SSL_CTX *tls_certificate_library(struct tls_certificate *certificate)
{
    return certificate->library;
}

int tls_certificate_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                         unsigned in_len, void *unused)
{
    (void)unused;
    const struct tls_session *session = SSL_get_app_data(ssl);
    const struct tls_context *context = session->context;
    if (context->alpn_len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < context->alpn_len; i += 1u + context->alpn[i]) {
        uint8_t len = context->alpn[i];
        for (size_t j = 0; j + 1 + len <= in_len; j += 1u + in[j]) {
            if (in[j] != len || memcmp(&in[j + 1], &context->alpn[i + 1], len) != 0)
                continue;
            *out = &in[j + 1];
            *out_len = len;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol, RFC 7301 3.2 */
}

static bool has_uri(X509 *certificate, struct text uri)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; sans != NULL && !found && i < (int)sk_GENERAL_NAME_num(sans); i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
        found = san->type == GEN_URI && text_equal(asn1_text(san->d.ia5), uri);
    }
    GENERAL_NAMES_free(sans);
    return found;
}

bool tls_certificate_names_are_plain(X509 *certificate)
{
    int found = 0;
    GENERAL_NAMES *sans = X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, NULL);
    bool plain = sans != NULL || found == -1; /* -1: it has none */
    for (int i = 0; sans != NULL && plain && i < (int)sk_GENERAL_NAME_num(sans); i++) {
        const GENERAL_NAME *san = sk_GENERAL_NAME_value(sans, i);
        if (san->type != GEN_DNS && san->type != GEN_URI && san->type != GEN_EMAIL)
            continue;
        struct text name = asn1_text(san->d.ia5);
        plain = text_find(name, 0, 0) == name.len;
    }
    GENERAL_NAMES_free(sans);
    ERR_clear_error();
    return plain;
}

/* By alternative names only: the subject is for people. */
bool tls_certificate_matches(X509 *certificate, struct text name)
{
    char string[LIMIT_HOSTNAME + 1];
    if (name.len == 0 || text_find(name, 0, 0) < name.len)
        return false;
    if (text_find(name, ':', 0) < name.len && text_find(name, '/', 0) < name.len)
        return has_uri(certificate, name);
    if (name.len > LIMIT_HOSTNAME)
        return false;
    memcpy(string, name.data, name.len);
    string[name.len] = 0;
    struct address address;
    if (address_parse(name, 0, &address))
        return X509_check_ip_asc(certificate, string, 0) == 1;
    unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    return X509_check_host(certificate, string, name.len, flags, NULL) == 1;
}

char *tls_certificate_first_name(X509 *certificate)
{
    GENERAL_NAMES *sans = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct text name = san_at(sans, 0);
    if (name.len == 0)
        name = common_name(certificate);
    char *copy = memory_string(name);
    GENERAL_NAMES_free(sans);
    ERR_clear_error();
    return copy;
}

int tls_certificate_load_store(X509_STORE *store, STACK_OF(X509_NAME) * issuers, struct text pem)
{
    BIO *bio = open_pem(pem);
    if (bio == NULL)
        return -1;
    int count = 0;
    X509 *item;
    while (count >= 0 && (item = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        bool taken = X509_STORE_add_cert(store, item) == 1;
        X509_NAME *name = issuers == NULL ? NULL : X509_NAME_dup(X509_get_subject_name(item));
        if (name != NULL && !sk_X509_NAME_push(issuers, name))
            X509_NAME_free(name);
        X509_free(item);
        count = taken ? count + 1 : -1;
    }
    BIO_free(bio);
    return pem_ended() ? count : -1;
}
