/* Certificates for tests, made on the spot: authorities, and leaves with any alternative names. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/macros.h"
#include "base/memory.h"
#include "base/text.h"

struct test_identity {
    EVP_PKEY *key;
    X509 *certificate;
    char *chain_pem, *key_pem;
};

static inline EVP_PKEY *test_key_new(int curve)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    CHECK(EVP_PKEY_keygen_init(making) == 1);
    CHECK(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(making, curve) == 1);
    CHECK(EVP_PKEY_keygen(making, &key) == 1);
    EVP_PKEY_CTX_free(making);
    return key;
}

static inline char *test_pem(BIO *bio)
{
    const char *data = NULL;
    long len = BIO_get_mem_data(bio, (char **)(uintptr_t)&data);
    char *copy = memory_string(text_from(data, (size_t)len));
    BIO_free(bio);
    return copy;
}

static inline void test_extend(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, NULL, certificate, NULL, NULL, 0);
    char *copy = memory_string(text_of(value));
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, copy);
    CHECK(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    free(copy);
}

/* `issuer` NULL: an authority. `sans` as "DNS:a.example,URI:spiffe://x", or NULL. Valid from
 * yesterday for `days` from now (negative: expired). Takes the key. */
static inline struct test_identity test_identity_with(EVP_PKEY *own,
                                                      const struct test_identity *issuer,
                                                      const char *name, const char *sans, int days)
{
    static int serial = 1;
    struct test_identity made = {.key = own, .certificate = X509_new()};
    X509 *certificate = made.certificate;
    CHECK(X509_set_version(certificate, 2) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), (days < 0 ? days - 1 : -1) * 86400L);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400L);
    X509_set_pubkey(certificate, made.key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0) == 1);
    X509_NAME *by = issuer == NULL ? subject : X509_get_subject_name(issuer->certificate);
    CHECK(X509_set_issuer_name(certificate, by) == 1);
    if (issuer == NULL)
        test_extend(certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (sans != NULL)
        test_extend(certificate, NID_subject_alt_name, sans);
    CHECK(X509_sign(certificate, issuer == NULL ? made.key : issuer->key, EVP_sha256()) > 0);

    BIO *chain = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(chain, certificate) == 1);
    CHECK(PEM_write_bio_PrivateKey(key, made.key, NULL, NULL, 0, NULL, NULL) == 1);
    made.chain_pem = test_pem(chain);
    made.key_pem = test_pem(key);
    return made;
}

static inline struct test_identity test_identity_new(const struct test_identity *issuer,
                                                     const char *name, const char *sans, int days)
{
    return test_identity_with(test_key_new(NID_X9_62_prime256v1), issuer, name, sans, days);
}

static inline void test_identity_free(struct test_identity *identity)
{
    EVP_PKEY_free(identity->key);
    X509_free(identity->certificate);
    free(identity->chain_pem);
    free(identity->key_pem);
}
