/* Paths like spec.rules[2].filters[0].type, faults that carry them, and "did you mean". */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/builder.h"
#include "control/kind/decode.h"

#define NAME_LEN_MAX 40 /* longer names have no neighbours */

static void add_step(struct builder *out, const struct decode_step *step)
{
    if (step == NULL)
        return;
    add_step(out, step->up);
    if (step->name.len == 0) {
        builder_printf(out, "[%zu]", step->index);
        return;
    }
    bool is_plain = text_find(step->name, '.', 0) == step->name.len &&
                    text_find(step->name, '/', 0) == step->name.len;
    if (is_plain) {
        if (out->len > 0)
            builder_add_char(out, '.');
        builder_add(out, step->name);
        return;
    }
    builder_add_string(out, "[\"");
    builder_add(out, step->name);
    builder_add_string(out, "\"]");
}

struct text decode_path(const struct decode *decode, const char *child)
{
    struct builder out CLEANUP(builder_fini) = {0};
    add_step(&out, decode->path);
    if (child != NULL) {
        if (out.len > 0 && child[0] != '[')
            builder_add_char(&out, '.');
        builder_add_string(&out, child);
    }
    return arena_text(decode->faults->arena, builder_text(&out));
}

void decode_add(struct decode *decode, const struct decode_fault *fault, const char *what, ...)
{
    if (fault->level == FAULT_ERROR)
        decode->errors++;
    va_list args;
    va_start(args, what);
    struct fault full = {
        .level = fault->level,
        .code = fault->code,
        .where = decode->where,
        .field = decode_path(decode, fault->child),
        .what = arena_vprintf(decode->faults->arena, what, args),
        .hint = text_of(fault->hint),
        .file = decode->file,
        .line = fault->at == NULL ? 0 : fault->at->line,
        .column = fault->at == NULL ? 0 : fault->at->column,
    };
    va_end(args);
    faults_copy(decode->faults, &full);
}

const char *decode_child(struct decode *decode, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct text text = arena_vprintf(decode->faults->arena, format, args);
    va_end(args);
    return text.data;
}

static int lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte + 32 : byte;
}

/* Levenshtein's distance without case; both at most NAME_LEN_MAX long. */
static size_t distance(struct text a, struct text b)
{
    size_t row[NAME_LEN_MAX + 1];
    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t change = diagonal + (lower(a.data[i - 1]) != lower(b.data[k - 1]));
            diagonal = row[k];
            row[k] = MIN(change, MIN(row[k], row[k - 1]) + 1);
        }
    }
    return row[b.len];
}

const char *decode_nearest(const struct decode_shape *shape, struct text name)
{
    const char *best = NULL;
    size_t best_distance = name.len / 3 + 1;
    if (name.len > NAME_LEN_MAX)
        return NULL;
    for (size_t i = 0; i < shape->count; i++) {
        struct text known = text_of(shape->fields[i].name);
        size_t apart = known.len > NAME_LEN_MAX ? SIZE_MAX : distance(name, known);
        if (apart <= best_distance && (best == NULL || apart < best_distance)) {
            best = shape->fields[i].name;
            best_distance = apart;
        }
    }
    return best;
}
