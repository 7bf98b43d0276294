/* A key of 16 random bytes, and the digest that answers it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/websocket.h"

#include <string.h>

#include "base/base64.h"
#include "base/random.h"
#include "net/digest.h"

#define KEY_LEN    24
#define ACCEPT_LEN 28

struct text websocket_key(struct arena *arena)
{
    char bytes[16];
    random_secure(bytes, sizeof(bytes));
    return base64_encode(text_from(bytes, sizeof(bytes)), arena);
}

bool websocket_accepts(struct text key, struct text accept)
{
    static const char SALT[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_LEN + sizeof(SALT)], want[ACCEPT_LEN + 1];
    union {
        uint8_t bytes[DIGEST_SHA1];
        char chars[DIGEST_SHA1];
    } digest;
    if (key.len != KEY_LEN)
        return false;
    memcpy(text, key.data, KEY_LEN);
    memcpy(text + KEY_LEN, SALT, sizeof(SALT) - 1);
    digest_sha1(text_from(text, KEY_LEN + sizeof(SALT) - 1), digest.bytes);
    size_t len = base64_write(text_from(digest.chars, DIGEST_SHA1), want);
    return text_equal(accept, text_from(want, len));
}
