/* Response heads: read whole and in two pieces they must come out the same. The first byte says
 * where to cut and what was asked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "fuzz.h"
#include "http/h1_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, cut = len == 0 ? 0 : data[0] * len / 256;
    struct h1_parser *whole = calloc(1, sizeof(*whole)), *parts = calloc(1, sizeof(*parts));
    h1_parse_init(whole, H1_RESPONSE);
    h1_parse_init(parts, H1_RESPONSE);
    enum err err = h1_parse(whole, bytes, len);
    enum err again = h1_parse(parts, bytes, cut);
    if (again == ERR_AGAIN)
        again = h1_parse(parts, bytes, len);
    CHECK(err == again && whole->refuse == parts->refuse);
    if (err == ERR_NONE) {
        struct arena arena;
        struct message head;
        struct h1_head_options options = {
            .method = data[0] & 1 ? METHOD_HEAD : METHOD_GET,
            .wants_upgrade = data[0] & 2,
            .upgrade = TEXT("websocket"),
        };
        arena_init(&arena, 0);
        struct text copy = arena_text(&arena, text_from(bytes, whole->at));
        err = h1_head_response(whole, copy.data, &arena, &options, &head);
        CHECK(err == ERR_NONE || whole->why != NULL);
        if (err == ERR_NONE) {
            CHECK(head.status >= 100 && head.status <= 599);
            CHECK((head.framing == FRAMING_TUNNEL) == (head.status == 101));
            CHECK(message_get(&head, NAME_CONNECTION) == NULL);
        }
        arena_fini(&arena);
    }
    free(whole);
    free(parts);
    return 0;
}
