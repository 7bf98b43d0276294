/* Keys of session tickets. Each key is made from the one before it by a hash that cannot be turned
 * back, and the one before is wiped: who learns today's keys reads no tickets of yesterday. */
/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED /* HMAC_Init_ex: the callback that both libraries have */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "net/tls_internal.h"

#define NAME_LEN 16

struct ticket_key {
    uint8_t name[NAME_LEN];
    uint8_t cipher[16]; /* AES-128-CBC */
    uint8_t mac[32];    /* HMAC-SHA-256 */
};

struct tls_tickets {
    _Atomic uint32_t references;
    pthread_mutex_t lock; /* held for a copy; a handshake costs a thousand times more */
    uint64_t period_ms, changed_ms;
    uint8_t seed[SHA256_DIGEST_LENGTH]; /* of the current key; the next seed is its hash */
    struct ticket_key current, last;
};

static void derive(const uint8_t *seed, char what, uint8_t *out, size_t len)
{
    uint8_t input[SHA256_DIGEST_LENGTH + 1], digest[SHA256_DIGEST_LENGTH];
    memcpy(input, seed, SHA256_DIGEST_LENGTH);
    input[SHA256_DIGEST_LENGTH] = (uint8_t)what;
    SHA256(input, sizeof(input), digest);
    memcpy(out, digest, len);
    OPENSSL_cleanse(input, sizeof(input));
    OPENSSL_cleanse(digest, sizeof(digest));
}

static void make_key(const uint8_t *seed, struct ticket_key *key)
{
    derive(seed, 'n', key->name, sizeof(key->name));
    derive(seed, 'c', key->cipher, sizeof(key->cipher));
    derive(seed, 'm', key->mac, sizeof(key->mac));
}

static void step(struct tls_tickets *tickets)
{
    uint8_t next[SHA256_DIGEST_LENGTH];
    derive(tickets->seed, 's', next, sizeof(next));
    memcpy(tickets->seed, next, sizeof(next));
    OPENSSL_cleanse(next, sizeof(next));
    tickets->last = tickets->current;
    make_key(tickets->seed, &tickets->current);
}

/* After a long sleep both keys are new: that takes two steps, not one for each period. The loops'
 * clocks differ a little. */
static void catch_up(struct tls_tickets *tickets, uint64_t now_ms)
{
    if (now_ms < tickets->changed_ms)
        return;
    uint64_t periods = (now_ms - tickets->changed_ms) / tickets->period_ms;
    tickets->changed_ms += periods * tickets->period_ms;
    for (uint64_t i = 0; i < MIN(periods, UINT64_C(2)); i++)
        step(tickets);
}

struct tls_tickets *tls_tickets_new(uint64_t period_ms)
{
    struct tls_tickets *tickets = memory_new(struct tls_tickets);
    tickets->references = 1;
    tickets->period_ms = period_ms;
    tickets->changed_ms = clock_monotonic_ns() / 1000000;
    CHECK(pthread_mutex_init(&tickets->lock, NULL) == 0);
    random_secure(tickets->seed, sizeof(tickets->seed));
    make_key(tickets->seed, &tickets->current);
    step(tickets); /* so that `last` is a key too */
    return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets)
{
    tickets->references++;
    return tickets;
}

void tls_tickets_unref(struct tls_tickets *tickets)
{
    if (tickets == NULL || --tickets->references > 0)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets, sizeof(*tickets));
    free(tickets);
}

/* 2: found, and to be replaced by a new ticket. */
static int find(struct tls_tickets *tickets, uint64_t now_ms, const uint8_t *name,
                struct ticket_key *ret_key)
{
    int found = 0;
    pthread_mutex_lock(&tickets->lock);
    catch_up(tickets, now_ms);
    if (name == NULL || memcmp(name, tickets->current.name, NAME_LEN) == 0) {
        *ret_key = tickets->current;
        found = 1;
    } else if (memcmp(name, tickets->last.name, NAME_LEN) == 0) {
        *ret_key = tickets->last;
        found = 2;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static int on_ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *mac,
                     int encrypt)
{
    const struct tls_session *session = SSL_get_app_data(ssl);
    struct ticket_key key;
    uint64_t now_ms = loop_now_ms(session->stream->loop);
    int found = find(session->context->tickets, now_ms, encrypt ? NULL : name, &key);
    if (encrypt && session->peer_doubtful) /* nobody becomes somebody by resuming */
        random_secure(&key, sizeof(key));
    if (found == 0)
        return 0; /* no ticket, or one of a key that is gone: a whole handshake */
    bool done;
    if (encrypt) {
        memcpy(name, key.name, NAME_LEN);
        random_secure(iv, 16);
        done = EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, key.cipher, iv) == 1;
    } else {
        done = EVP_DecryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, key.cipher, iv) == 1;
    }
    done = done && HMAC_Init_ex(mac, key.mac, sizeof(key.mac), EVP_sha256(), NULL) == 1;
    OPENSSL_cleanse(&key, sizeof(key));
    return done ? found : -1;
}

void tls_tickets_use(SSL_CTX *library)
{
    CHECK(SSL_CTX_set_tlsext_ticket_key_cb(library, on_ticket) == 1);
}
