/* Patterns of routes, a line, and a subject: what is taken is what regex_check takes, and matching
 * ends, whatever the two are. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regex.h"

#include "fuzz.h"

#define SUBJECT_MAX 4096 /* linear, but by the size of the program */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text bytes = text_from((const char *)data, size), why = TEXT_NONE;
    size_t end = text_find(bytes, '\n', 0);
    struct text pattern = text_slice(bytes, 0, end);
    struct text subject = text_slice(bytes, end + 1, end + 1 + SUBJECT_MAX);
    struct arena arena;
    arena_init(&arena, 0);
    struct regex *regex = regex_new(pattern, &arena, &why);
    CHECK(regex_check(pattern, &arena, &why) == (regex != NULL));
    CHECK(regex != NULL || why.len > 0);
    if (regex != NULL)
        CHECK(regex_matches(regex, subject) == regex_matches(regex, subject));
    regex_free(regex);
    arena_fini(&arena);
    return 0;
}
