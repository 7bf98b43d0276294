/* Chunked bodies: all at once and byte by byte the same data must come out, or the same refusal. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_chunk.h"

#include <stdlib.h>

#include "fuzz.h"

struct result {
    enum err err;
    size_t used; /* framing and data */
    uint8_t *data;
    size_t len;
};

/* `step`: bytes shown at a time. */
static struct result read_all(const char *bytes, size_t len, size_t step, bool lenient)
{
    struct h1_chunk chunk;
    struct result result = {.err = ERR_AGAIN, .data = malloc(len + 1)};
    size_t seen = 0;
    h1_chunk_init(&chunk, lenient);
    while (result.err == ERR_AGAIN || result.err == ERR_NONE) {
        if (result.used == seen && seen == len)
            break;
        seen = seen + step < len ? seen + step : len;
        while (result.used < seen) {
            size_t some = 0;
            if (chunk.left == 0) {
                result.err = h1_chunk_read(&chunk, bytes + result.used, seen - result.used, &some);
                CHECK(some <= seen - result.used);
                result.used += some;
                if (result.err != ERR_NONE || h1_chunk_is_last(&chunk))
                    break;
                continue;
            }
            some = chunk.left < seen - result.used ? chunk.left : seen - result.used;
            memcpy(result.data + result.len, bytes + result.used, some);
            result.len += some;
            result.used += some;
            chunk.left -= some;
        }
        if (h1_chunk_is_last(&chunk))
            break;
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    bool lenient = data[0] & 1;
    struct result whole = read_all(bytes, size - 1, size, lenient);
    struct result parts = read_all(bytes, size - 1, 1, lenient);
    CHECK(whole.err == parts.err && whole.used == parts.used && whole.len == parts.len);
    CHECK(whole.len == 0 || memcmp(whole.data, parts.data, whole.len) == 0);
    free(whole.data);
    free(parts.data);
    return 0;
}
