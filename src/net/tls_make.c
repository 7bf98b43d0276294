/* X.509 version 3 with the extensions that verifiers ask for (RFC 5280 4.2.1). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_make.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/random.h"

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    bool good = context != NULL && EVP_PKEY_keygen_init(context) == 1 &&
                EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1 &&
                EVP_PKEY_keygen(context, &key) == 1;
    EVP_PKEY_CTX_free(context);
    return good ? key : NULL;
}

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *name, uint32_t seconds)
{
    unsigned char serial[16];
    random_secure(serial, sizeof(serial));
    serial[0] &= 0x7f; /* positive */
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool good = number != NULL && X509_set_version(certificate, 2) == 1 &&
                BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), (long)seconds) != NULL &&
                X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                           (const unsigned char *)name,
                                           (int)MIN(strlen(name), (size_t)64), -1, 0) == 1 &&
                X509_set_pubkey(certificate, key) == 1;
    BN_free(number);
    return good;
}

static struct text take(BIO *bio, struct arena *arena)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    return arena_text(arena, text_from(data, (size_t)len));
}

static bool write_made(X509 *certificate, EVP_PKEY *key, struct arena *arena,
                       struct tls_made *ret_made)
{
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    bool good = chain != NULL && secret != NULL && PEM_write_bio_X509(chain, certificate) == 1 &&
                PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (good)
        *ret_made = (struct tls_made){take(chain, arena), take(secret, arena)};
    BIO_free(chain);
    BIO_free(secret);
    return good;
}

bool tls_make_authority(const char *name, uint32_t seconds, struct arena *arena,
                        struct tls_made *ret_made)
{
    EVP_PKEY *key = make_key();
    X509 *certificate = X509_new();
    bool good = key != NULL && certificate != NULL && fill(certificate, key, name, seconds) &&
                X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
                extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE") &&
                extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                X509_sign(certificate, key, EVP_sha256()) > 0 &&
                write_made(certificate, key, arena, ret_made);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}

static BIO *reader(struct text pem)
{
    return BIO_new_mem_buf(pem.data, (int)pem.len);
}

bool tls_make_certificate(struct text name, uint32_t seconds, const struct tls_made *authority,
                          struct arena *arena, struct tls_made *ret_made)
{
    BIO *chain = reader(authority->chain), *secret = reader(authority->key);
    X509 *issuer = chain == NULL ? NULL : PEM_read_bio_X509(chain, NULL, NULL, NULL);
    EVP_PKEY *signer = secret == NULL ? NULL : PEM_read_bio_PrivateKey(secret, NULL, NULL, NULL);
    EVP_PKEY *key = make_key();
    X509 *certificate = X509_new();
    struct text names = arena_printf(arena, "DNS:" TEXT_FMT, TEXT_ARG(name));
    bool good = issuer != NULL && X509_check_ca(issuer) == 1 && signer != NULL &&
                X509_check_private_key(issuer, signer) == 1 && key != NULL && certificate != NULL &&
                fill(certificate, key, arena_string(arena, name), seconds) &&
                X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
                extend(certificate, issuer, NID_subject_alt_name, names.data) &&
                extend(certificate, issuer, NID_ext_key_usage, "serverAuth") &&
                X509_sign(certificate, signer, EVP_sha256()) > 0 &&
                write_made(certificate, key, arena, ret_made);
    BIO_free(chain);
    BIO_free(secret);
    X509_free(issuer);
    EVP_PKEY_free(signer);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}
