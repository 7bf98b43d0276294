/* The door to rure, Rust's regex crate: linear time whatever the pattern and the text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regex.h"

#include <rure.h>
#include <stdlib.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"

struct regex {
    rure *compiled; /* owns */
};

static rure *compile(struct text pattern, struct arena *arena, struct text *ret_why)
{
    rure_options *options = rure_options_new();
    rure_options_size_limit(options, LIMIT_REGEX_PROGRAM);
    rure_options_dfa_size_limit(options, LIMIT_REGEX_PROGRAM);
    rure_error *error = rure_error_new();
    rure *compiled = rure_compile((const uint8_t *)(pattern.data == NULL ? "" : pattern.data),
                                  pattern.len, RURE_DEFAULT_FLAGS, options, error);
    if (compiled == NULL) {
        /* The last line says what; those before it draw the place. */
        struct text rest = text_trim(text_of(rure_error_message(error))), line = TEXT_NONE;
        while (text_split(&rest, '\n', &line) && rest.len > 0)
            continue;
        *ret_why = arena_text(arena, text_trim(line));
    }
    rure_error_free(error);
    rure_options_free(options);
    return compiled;
}

struct regex *regex_new(struct text pattern, struct arena *arena, struct text *ret_why)
{
    if (pattern.len > LIMIT_REGEX_BYTES) {
        *ret_why = arena_printf(arena, "longer than %d bytes", LIMIT_REGEX_BYTES);
        return NULL;
    }
    /* "a)|(b" is no expression, but becomes one between the anchors: so it is read alone first. */
    if (text_find(pattern, ')', 0) < pattern.len) {
        rure *alone = compile(pattern, arena, ret_why);
        if (alone == NULL)
            return NULL;
        rure_free(alone);
    }
    struct builder anchored = {0};
    builder_add_string(&anchored, "^(?:");
    builder_add(&anchored, pattern);
    builder_add_string(&anchored, ")$");
    rure *compiled = compile(builder_text(&anchored), arena, ret_why);
    builder_fini(&anchored);
    if (compiled == NULL)
        return NULL;
    struct regex *regex = memory_new(struct regex);
    regex->compiled = compiled;
    return regex;
}

void regex_free(struct regex *regex)
{
    if (regex == NULL)
        return;
    rure_free(regex->compiled);
    free(regex);
}

bool regex_matches(const struct regex *regex, struct text text)
{
    return rure_is_match(regex->compiled, (const uint8_t *)(text.data == NULL ? "" : text.data),
                         text.len, 0);
}

bool regex_check(struct text pattern, struct arena *arena, struct text *ret_why)
{
    struct regex *regex = regex_new(pattern, arena, ret_why);
    bool usable = regex != NULL;
    regex_free(regex);
    return usable;
}
