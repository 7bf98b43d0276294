/* Records are put together into the one message; then a cursor walks it, and every length must fit
 * what holds it exactly. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client_hello.h"

#define RECORD_HEADER    5
#define RECORD_MAX       16384
#define MESSAGE_HEADER   4
#define TYPE_HANDSHAKE   0x16
#define TYPE_HELLO       1
#define EXTENSION_SERVER 0

static uint8_t byte_at(struct text text, size_t at)
{
    return (uint8_t)text.data[at];
}

/* A big-endian number of `size` bytes off the front. */
static bool take_number(struct text *rest, size_t size, size_t *ret_value)
{
    if (rest->len < size)
        return false;
    size_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | byte_at(*rest, i);
    *rest = text_slice(*rest, size, rest->len);
    *ret_value = value;
    return true;
}

/* A vector whose length stands before it in `size` bytes. */
static bool take_vector(struct text *rest, size_t size, size_t min, struct text *ret_vector)
{
    size_t len;
    if (!take_number(rest, size, &len) || len < min || rest->len < len)
        return false;
    *ret_vector = text_slice(*rest, 0, len);
    *rest = text_slice(*rest, len, rest->len);
    return true;
}

/* One name of the kind host_name: letters, digits, '-', '_' and '.'. */
static bool take_server_name(struct text extension, struct client_hello *hello)
{
    struct text list, name;
    size_t kind;
    if (!take_vector(&extension, 2, 1, &list) || extension.len > 0 ||
        !take_number(&list, 1, &kind) || kind != 0 || !take_vector(&list, 2, 1, &name) ||
        list.len > 0 || name.len > LIMIT_HOSTNAME)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool is_good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!is_good)
            return false;
        hello->server_name[i] = c;
    }
    hello->server_name[name.len] = 0;
    hello->server_name_len = name.len;
    return true;
}

static bool take_extensions(struct text extensions, struct client_hello *hello)
{
    bool has_name = false;
    while (extensions.len > 0) {
        struct text extension;
        size_t type;
        if (!take_number(&extensions, 2, &type) || !take_vector(&extensions, 2, 0, &extension))
            return false;
        if (type != EXTENSION_SERVER)
            continue;
        if (has_name || !take_server_name(extension, hello))
            return false;
        has_name = true;
    }
    return true;
}

/* RFC 8446 4.1.2; without extensions it ends behind the compression methods (RFC 5246 7.4.1.2). */
static bool take_message(struct text rest, struct client_hello *hello)
{
    struct text part;
    size_t version;
    hello->server_name[0] = 0;
    hello->server_name_len = 0;
    if (!take_number(&rest, 2, &version) || version >> 8 != 3 || rest.len < 32)
        return false;
    rest = text_slice(rest, 32, rest.len);                       /* random */
    if (!take_vector(&rest, 1, 0, &part) || part.len > 32 ||     /* session */
        !take_vector(&rest, 2, 2, &part) || part.len % 2 != 0 || /* ciphers */
        !take_vector(&rest, 1, 1, &part))                        /* compression */
        return false;
    if (rest.len == 0)
        return true;
    return take_vector(&rest, 2, 0, &part) && rest.len == 0 && take_extensions(part, hello);
}

bool client_hello_read(struct text message, struct client_hello *ret_hello)
{
    size_t type, size;
    return take_number(&message, 1, &type) && type == TYPE_HELLO &&
           take_number(&message, 3, &size) && size == message.len &&
           take_message(message, ret_hello);
}

/* Appends the next record's bytes to `joined`. */
static enum err join_record(struct text *bytes, char *joined, size_t *len)
{
    if (bytes->len > 0 && byte_at(*bytes, 0) != TYPE_HANDSHAKE)
        return ERR_PROTOCOL;
    if (bytes->len > 1 && byte_at(*bytes, 1) != 3)
        return ERR_PROTOCOL;
    if (bytes->len < RECORD_HEADER)
        return ERR_AGAIN;
    size_t size = (size_t)byte_at(*bytes, 3) << 8 | byte_at(*bytes, 4);
    if (size == 0 || size > RECORD_MAX)
        return ERR_PROTOCOL;
    size_t have = MIN(size, bytes->len - RECORD_HEADER);
    size_t room = MIN(have, LIMIT_CLIENT_HELLO - *len);
    memcpy(joined + *len, bytes->data + RECORD_HEADER, room);
    *len += room;
    *bytes = text_slice(*bytes, RECORD_HEADER + have, bytes->len);
    return have < size ? ERR_AGAIN : ERR_NONE;
}

enum err client_hello_parse(struct text bytes, struct client_hello *ret_hello)
{
    char joined[LIMIT_CLIENT_HELLO];
    size_t len = 0;
    for (;;) {
        enum err err = join_record(&bytes, joined, &len);
        if (err != ERR_NONE && err != ERR_AGAIN)
            return err;
        struct text message = text_from(joined, len);
        size_t type, size;
        if (len > 0 && byte_at(message, 0) != TYPE_HELLO)
            return ERR_PROTOCOL;
        if (len >= MESSAGE_HEADER) {
            (void)take_number(&message, 1, &type);
            (void)take_number(&message, 3, &size);
            if (size > LIMIT_CLIENT_HELLO - MESSAGE_HEADER)
                return ERR_LIMIT;
            if (message.len >= size)
                return message.len == size && take_message(message, ret_hello) ? ERR_NONE
                                                                               : ERR_PROTOCOL;
        }
        if (err == ERR_AGAIN)
            return ERR_AGAIN;
    }
}
