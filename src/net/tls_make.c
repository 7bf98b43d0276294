/* X.509 version 3 with subjectAltName (RFC 5280 4.2.1.6) and nothing else. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_make.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/builder.h"
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

static bool add_names(X509 *certificate, const struct text *names, size_t count)
{
    struct builder list CLEANUP(builder_fini) = {0};
    X509V3_CTX context;
    for (size_t i = 0; i < count; i++)
        builder_printf(&list, "%sDNS:" TEXT_FMT, i == 0 ? "" : ",", TEXT_ARG(names[i]));
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, list.data);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const struct text *names, size_t count,
                 uint32_t days)
{
    unsigned char serial[16];
    random_secure(serial, sizeof(serial));
    serial[0] &= 0x7f; /* positive */
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    X509_NAME *subject = X509_get_subject_name(certificate);
    bool good = number != NULL && X509_set_version(certificate, 2) == 1 &&
                BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
                X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
                X509_gmtime_adj(X509_getm_notAfter(certificate), (long)days * 86400) != NULL &&
                X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                           (const unsigned char *)names[0].data,
                                           (int)MIN(names[0].len, (size_t)64), -1, 0) == 1 &&
                X509_set_issuer_name(certificate, subject) == 1 &&
                X509_set_pubkey(certificate, key) == 1 && add_names(certificate, names, count) &&
                X509_sign(certificate, key, EVP_sha256()) > 0;
    BN_free(number);
    return good;
}

static struct text take(BIO *bio, struct arena *arena)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    return arena_text(arena, text_from(data, (size_t)len));
}

bool tls_make_certificate(const struct text *names, size_t count, uint32_t days,
                          struct arena *arena, struct text *ret_chain, struct text *ret_key)
{
    EVP_PKEY *key = make_key();
    X509 *certificate = X509_new();
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    bool good = key != NULL && certificate != NULL && chain != NULL && secret != NULL &&
                count > 0 && fill(certificate, key, names, count, days) &&
                PEM_write_bio_X509(chain, certificate) == 1 &&
                PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (good) {
        *ret_chain = take(chain, arena);
        *ret_key = take(secret, arena);
    }
    BIO_free(chain);
    BIO_free(secret);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}
