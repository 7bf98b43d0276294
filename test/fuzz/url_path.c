/* Paths and hosts: what normalising accepts is in normal form already, and climbs nowhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "http/url.h"

static void check_path(struct arena *arena, struct text path, bool merge)
{
    const char *why = NULL;
    struct text again;
    CHECK(path.len > 0 && path.data[0] == '/');
    CHECK(url_normalise(arena, path, merge, &again, &why));
    CHECK(text_equal(path, again));
    CHECK(memmem(path.data, path.len, "/../", 4) == NULL && !text_ends_with(path, TEXT("/..")));
    CHECK(memmem(path.data, path.len, "/./", 3) == NULL && !text_ends_with(path, TEXT("/.")));
    CHECK(!merge || memmem(path.data, path.len, "//", 2) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct arena arena;
    struct message message;
    const char *why = NULL;
    struct text input = text_from((const char *)data + 1, size - 1), path;
    bool merge = data[0] & 1;
    arena_init(&arena, 0);
    if (url_normalise(&arena, input, merge, &path, &why))
        check_path(&arena, path, merge);
    else
        CHECK(why != NULL);
    message_init(&message);
    message.method = METHOD_GET;
    if (url_parse_target(&arena, input, merge, &message, &why))
        check_path(&arena, message.path, merge);
    if (url_parse_authority(&arena, input, &message, &why)) {
        CHECK(message.host.len > 0 && message.host.len <= message.authority.len);
        for (size_t i = 0; i < message.authority.len; i++)
            CHECK(message.authority.data[i] > ' ' && message.authority.data[i] != '/' &&
                  message.authority.data[i] != '@');
    }
    arena_fini(&arena);
    return 0;
}
