/* Rewrites of paths: a line for the kind and its value, a line for the prefix that matched, the
 * rest is the path. What is taken ends in a path that stays as it is when it is normalised again,
 * so that no backend reads another one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/path_edit.h"

#include "fuzz.h"
#include "http/url.h"

static void check_result(struct text path, struct arena *arena)
{
    struct text again = TEXT_NONE;
    const char *why = NULL;
    CHECK(url_normalise(arena, path, false, &again, &why));
    CHECK(text_equal(path, again));
}

/* As routes match: whole elements. */
static bool has_prefix(struct text path, struct text prefix)
{
    return text_starts_with(path, prefix) &&
           (path.len == prefix.len || path.data[prefix.len] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct text rest = text_from((const char *)data + 1, size - 1), value = TEXT_NONE,
                prefix = TEXT_NONE, path = TEXT_NONE;
    const char *why = NULL;
    if (!text_split(&rest, '\n', &value) || !text_split(&rest, '\n', &prefix))
        return 0;
    struct arena arena;
    arena_init(&arena, 0);
    char *words = arena_string(&arena, value);
    Nantian__Config__V1__PathModifier message = NANTIAN__CONFIG__V1__PATH_MODIFIER__INIT;
    if (data[0] & 1) {
        message.kind_case = NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_FULL;
        message.replace_full = words;
    } else {
        message.kind_case = NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_PREFIX;
        message.replace_prefix = words;
    }
    struct path_edit edit;
    struct fault fault = {.level = FAULT_ERROR};
    if (path_edit_compile(&message, &arena, &edit, &fault) == ERR_NONE &&
        url_normalise(&arena, rest, data[0] & 2, &path, &why) && has_prefix(path, prefix)) {
        struct message request;
        message_init(&request);
        request.path = path;
        struct exchange x = {.arena = &arena, .request = &request, .original_path = path};
        x.hit.prefix_len = prefix.len;
        check_result(path_edit_apply(&edit, &x), &arena);
    }
    arena_fini(&arena);
    return 0;
}
