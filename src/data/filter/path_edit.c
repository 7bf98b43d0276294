/* New paths from old: see path_edit.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/path_edit.h"

#include "http/url.h"

static bool is_path(struct text path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char byte = (unsigned char)path.data[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == '?' || byte == '#')
            return false;
    }
    return path.len == 0 || path.data[0] == '/';
}

enum err path_edit_compile(const Nantian__Config__V1__PathModifier *message, struct arena *arena,
                           struct path_edit *ret_edit, struct fault *fault)
{
    struct path_edit edit = {PATH_EDIT_NONE, TEXT_NONE};
    struct text value = TEXT_NONE;
    if (message != NULL) {
        switch (message->kind_case) {
        case NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_FULL:
            edit.kind = PATH_EDIT_FULL;
            value = text_of(message->replace_full);
            fault->field = TEXT("path.replace_full");
            break;
        case NANTIAN__CONFIG__V1__PATH_MODIFIER__KIND_REPLACE_PREFIX:
            edit.kind = PATH_EDIT_PREFIX;
            value = text_of(message->replace_prefix);
            fault->field = TEXT("path.replace_prefix");
            break;
        default:
            fault->field = TEXT("path");
            fault->what = TEXT("says neither the full path nor the prefix");
            return ERR_INVALID;
        }
    }
    const char *why = NULL;
    struct text normal = value.len == 0 ? TEXT("/") : value;
    if (!is_path(value) || !url_normalise(arena, normal, false, &normal, &why)) {
        fault->what = TEXT("is not a path");
        fault->hint = TEXT("start with '/', escape what is no ASCII, leave the query out");
        return ERR_INVALID;
    }
    if (edit.kind == PATH_EDIT_PREFIX && text_ends_with(normal, TEXT("/")))
        normal.len--;
    edit.value = arena_text(arena, normal);
    fault->field = TEXT_NONE;
    *ret_edit = edit;
    return ERR_NONE;
}

struct text path_edit_apply(const struct path_edit *edit, const struct exchange *x)
{
    struct text path = x->original_path.len > 0 ? x->original_path : x->request->path;
    if (edit->kind == PATH_EDIT_NONE)
        return x->request->path;
    if (edit->kind == PATH_EDIT_FULL)
        return edit->value;
    struct text rest = text_slice(path, x->hit.prefix_len, path.len);
    if (rest.len == 0)
        return edit->value.len > 0 ? edit->value : TEXT("/");
    struct text joined =
        arena_printf(x->arena, TEXT_FMT TEXT_FMT, TEXT_ARG(edit->value), TEXT_ARG(rest));
    struct text normal;
    const char *why;
    /* Both halves are normal, so this finds nothing to refuse; if it does, nothing is rewritten. */
    return url_normalise(x->arena, joined, false, &normal, &why) ? normal : x->request->path;
}

bool path_edit_host_is_valid(struct text host)
{
    for (size_t i = 0; i < host.len; i++) {
        unsigned char byte = (unsigned char)host.data[i];
        bool alphanumeric =
            (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
        if (!alphanumeric && byte != '-' && byte != '.' && byte != '_')
            return false;
    }
    return host.len <= 253;
}
