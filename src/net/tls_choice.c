/* Which of several certificates a client gets: by its server name first, then by the signatures
 * that it says it can verify. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client_hello.h"
#include "net/tls_internal.h"

/* Kinds of keys, as bits of tls_hello.verifies. */
enum key_kind {
    KEY_P256 = 1,
    KEY_P384 = 2,
    KEY_P521 = 4,
    KEY_RSA = 8,
    KEY_ED25519 = 16,
    KEY_EC = KEY_P256 | KEY_P384 | KEY_P521 | KEY_ED25519,
    KEY_ANY = KEY_EC | KEY_RSA,
};

/* RFC 8446 4.2.3; SHA-1 and DSA have no bit. */
static uint32_t key_of_scheme(unsigned scheme)
{
    switch (scheme) {
    case 0x0403:
        return KEY_P256;
    case 0x0503:
        return KEY_P384;
    case 0x0603:
        return KEY_P521;
    case 0x0401:
    case 0x0501:
    case 0x0601:
    case 0x0804:
    case 0x0805:
    case 0x0806:
        return KEY_RSA;
    case 0x0807:
        return KEY_ED25519;
    default:
        return 0;
    }
}

/* TLS 1.2 binds the kind of the key to the cipher; the suites of TLS 1.3 do not. */
static uint32_t keys_of_cipher(unsigned cipher)
{
    switch (cipher) {
    case 0x1301:
    case 0x1302:
    case 0x1303:
        return KEY_ANY;
    case 0xc02b:
    case 0xc02c:
    case 0xcca9:
        return KEY_EC;
    case 0xc02f:
    case 0xc030:
    case 0xcca8:
        return KEY_RSA;
    default:
        return 0;
    }
}

static uint32_t keys_of(struct text pairs, uint32_t (*key_of)(unsigned))
{
    uint32_t keys = 0;
    for (size_t i = 0; i + 1 < pairs.len; i += 2)
        keys |= key_of((unsigned)(uint8_t)pairs.data[i] << 8 | (uint8_t)pairs.data[i + 1]);
    return keys;
}

/* The library judges the message itself; what is not there or broken limits nothing here. */
static void note(SSL *ssl, struct text schemes, struct text ciphers)
{
    struct tls_session *session = SSL_get_app_data(ssl);
    session->verifies = keys_of(ciphers, keys_of_cipher);
    if (schemes.len > 2) /* behind the length */
        session->verifies &= keys_of(text_slice(schemes, 2, schemes.len), key_of_scheme);
}

/* RFC 8446 4.1.2: the hello that follows a HelloRetryRequest is the first one but for what was
 * asked for. The library does not look at its name again; certificate, client rules and routes stay
 * those of the first. */
static void on_message(int is_ours, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *unused)
{
    (void)version, (void)unused;
    struct text message = text_from(bytes, len);
    struct tls_session *session = SSL_get_app_data(ssl);
    if (is_ours || type != SSL3_RT_HANDSHAKE || len == 0 || message.data[0] != SSL3_MT_CLIENT_HELLO)
        return;
    struct client_hello again;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (session->has_greeted)
        session->name_changed =
            !client_hello_read(message, &again) ||
            !text_equal_nocase(text_of(name == NULL ? "" : name),
                               text_from(again.server_name, again.server_name_len));
    session->has_greeted = true;
}

/* The one place where the two libraries have no call in common. */
#ifdef OPENSSL_IS_AWSLC
static enum ssl_select_cert_result_t on_hello(const SSL_CLIENT_HELLO *hello)
{
    const uint8_t *schemes = NULL;
    size_t len = 0;
    (void)SSL_early_callback_ctx_extension_get(hello, TLSEXT_TYPE_signature_algorithms, &schemes,
                                               &len);
    note(hello->ssl, text_from((const char *)schemes, len),
         text_from((const char *)hello->cipher_suites, hello->cipher_suites_len));
    return ssl_select_cert_success;
}

void tls_choice_watch(SSL_CTX *library)
{
    SSL_CTX_set_select_certificate_cb(library, on_hello);
    SSL_CTX_set_msg_callback(library, on_message);
}
#else
static int on_hello(SSL *ssl, int *alert, void *unused)
{
    (void)alert, (void)unused;
    const uint8_t *schemes = NULL, *ciphers = NULL;
    size_t len = 0, cipher_len = SSL_client_hello_get0_ciphers(ssl, &ciphers);
    (void)SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_signature_algorithms, &schemes, &len);
    note(ssl, text_from((const char *)schemes, len), text_from((const char *)ciphers, cipher_len));
    return SSL_CLIENT_HELLO_SUCCESS;
}

void tls_choice_watch(SSL_CTX *library)
{
    SSL_CTX_set_client_hello_cb(library, on_hello, NULL);
    SSL_CTX_set_msg_callback(library, on_message);
}
#endif

static uint32_t key_of_certificate(struct tls_certificate *certificate)
{
    const EVP_PKEY *key = SSL_CTX_get0_privatekey(tls_certificate_library(certificate));
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
        return EVP_PKEY_bits(key) <= 256   ? KEY_P256
               : EVP_PKEY_bits(key) <= 384 ? KEY_P384
                                           : KEY_P521;
    case EVP_PKEY_ED25519:
        return KEY_ED25519;
    default:
        return KEY_RSA;
    }
}

static bool equal_folded(struct text a, struct text lower)
{
    if (a.len != lower.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char byte = a.data[i];
        if ((byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte) != lower.data[i])
            return false;
    }
    return true;
}

/* 2: names the server itself; 1: by a wildcard for its first label (RFC 6125 6.4.3); 0: not. */
static uint32_t name_rank(const struct tls_certificate *certificate, struct text server_name)
{
    size_t count, dot = text_find(server_name, '.', 0);
    const struct text *names = tls_certificate_names(certificate, &count);
    uint32_t rank = 0;
    for (size_t i = 0; i < count && server_name.len > 0; i++) {
        if (equal_folded(names[i], server_name))
            return 2;
        if (dot > 0 && dot < server_name.len && names[i].len > 2 && names[i].data[0] == '*' &&
            equal_folded(text_slice(names[i], 1, names[i].len),
                         text_slice(server_name, dot, server_name.len)))
            rank = 1;
    }
    return rank;
}

struct tls_certificate *tls_choose(struct tls_certificate *const *certificates, size_t count,
                                   const struct tls_hello *hello)
{
    if (count <= 1)
        return count == 0 ? NULL : certificates[0];
    struct tls_certificate *best = NULL;
    uint32_t best_rank = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t key = key_of_certificate(certificates[i]);
        uint32_t rank = name_rank(certificates[i], hello->server_name) * 4;
        if ((key & hello->verifies) != 0)
            rank += (key & KEY_EC) != 0 ? 2 : 1;
        if (best != NULL && rank <= best_rank)
            continue;
        best = certificates[i];
        best_rank = rank;
    }
    return best;
}
