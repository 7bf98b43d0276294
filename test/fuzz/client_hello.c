/* The client hello: parts of it are judged as the whole is, a name is always a host name, and
 * cutting the records otherwise changes nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/client_hello.h"

#include <stdlib.h>

#include "base/builder.h"
#include "fuzz.h"

/* The same message in records of `piece` bytes each. */
static void check_cut(struct text bytes, size_t piece, const struct client_hello *hello)
{
    struct builder out = {0};
    struct client_hello again;
    while (bytes.len >= 5) {
        size_t size = (size_t)(uint8_t)bytes.data[3] << 8 | (uint8_t)bytes.data[4];
        size = MIN(size, bytes.len - 5);
        for (size_t at = 0; at < size; at += piece) {
            size_t len = MIN(piece, size - at);
            builder_add_char(&out, 0x16);
            builder_add_char(&out, 3);
            builder_add_char(&out, 1);
            builder_add_char(&out, (char)(len >> 8));
            builder_add_char(&out, (char)len);
            builder_add(&out, text_slice(bytes, 5 + at, 5 + at + len));
        }
        bytes = text_slice(bytes, 5 + size, bytes.len);
    }
    CHECK(client_hello_parse(builder_text(&out), &again) == ERR_NONE);
    CHECK(again.server_name_len == hello->server_name_len &&
          memcmp(again.server_name, hello->server_name, hello->server_name_len) == 0);
    builder_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = text_from((const char *)data, size);
    struct client_hello hello, part;
    enum err whole = client_hello_parse(input, &hello);
    /* What a part of it was refused for, or taken as, holds for the whole. */
    const size_t parts[] = {1, 4, 6, 9, size / 3, size / 2, size - 1};
    for (size_t i = 0; i < ARRAY_LEN(parts) && size > 0; i++) {
        enum err err = client_hello_parse(text_slice(input, 0, MIN(parts[i], size)), &part);
        CHECK(err == ERR_AGAIN || err == whole || (whole == ERR_PROTOCOL && err == ERR_NONE));
    }
    if (whole != ERR_NONE)
        return 0;
    CHECK(hello.server_name_len <= LIMIT_HOSTNAME && hello.server_name[hello.server_name_len] == 0);
    for (size_t i = 0; i < hello.server_name_len; i++)
        CHECK(hello.server_name[i] > ' ' && hello.server_name[i] <= 'z' &&
              (hello.server_name[i] < 'A' || hello.server_name[i] > 'Z'));
    check_cut(input, 1, &hello);
    check_cut(input, 100, &hello);
    return 0;
}
