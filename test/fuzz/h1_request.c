/* Request heads: read whole and in two pieces they must come out the same, and what is accepted
 * must be canonical. The first byte says where to cut. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "fuzz.h"
#include "http/h1_head.h"

static void check_head(const struct message *head)
{
    CHECK(head->path.len > 0 && (head->path.data[0] == '/' || head->path.data[0] == '*'));
    for (size_t i = 0; i < head->path.len; i++)
        CHECK(head->path.data[i] > ' ' && (unsigned char)head->path.data[i] < 0x7f);
    CHECK(memmem(head->path.data, head->path.len, "/../", 4) == NULL);
    CHECK(head->framing <= FRAMING_CHUNKED);
    CHECK(head->version < 11 || head->authority.len > 0);
    CHECK(message_get(head, NAME_CONNECTION) == NULL && message_get(head, NAME_UPGRADE) == NULL);
    CHECK(message_get(head, NAME_CONTENT_LENGTH) == NULL);
    CHECK(message_get(head, NAME_TRANSFER_ENCODING) == NULL);
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct text value = head->fields[i].value;
        CHECK(h1_parse_is_token(head->fields[i].name));
        CHECK(text_find(value, '\r', 0) == value.len && text_find(value, '\n', 0) == value.len);
        CHECK(text_find(value, '\0', 0) == value.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t len = size - 1, cut = len == 0 ? 0 : data[0] * len / 256;
    struct h1_parser *whole = calloc(1, sizeof(*whole)), *parts = calloc(1, sizeof(*parts));
    h1_parse_init(whole, H1_REQUEST);
    h1_parse_init(parts, H1_REQUEST);
    enum err err = h1_parse(whole, bytes, len);
    enum err again = h1_parse(parts, bytes, cut);
    if (again == ERR_AGAIN)
        again = h1_parse(parts, bytes, len);
    CHECK(err == again && whole->refuse == parts->refuse);
    CHECK(err != ERR_NONE || (whole->at == parts->at && whole->count == parts->count));
    if (err == ERR_NONE) {
        struct arena arena;
        struct message head;
        struct h1_head_options options = {.merge_slashes = data[0] & 1};
        arena_init(&arena, 0);
        struct text copy = arena_text(&arena, text_from(bytes, whole->at));
        err = h1_head_request(whole, copy.data, &arena, &options, &head);
        CHECK(err == ERR_NONE || (whole->refuse >= 400 && whole->why != NULL));
        if (err == ERR_NONE)
            check_head(&head);
        arena_fini(&arena);
    } else if (err != ERR_AGAIN) {
        CHECK(whole->refuse >= 400 && whole->why != NULL);
    }
    free(whole);
    free(parts);
    return 0;
}
