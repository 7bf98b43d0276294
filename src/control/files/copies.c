/* "STATE/files/NAME" is the form without faults, "STATE/files/partial/NUMBER-NAME" one with. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/copies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/file.h"
#include "base/memory.h"
#include "control/files/directory.h"

struct copies {
    char *clean, *partial; /* own */
    bool has_partial;      /* else nobody need look */
};

static const char *path_of(const struct copies *copies, const char *name, uint32_t form,
                           struct arena *arena)
{
    if (form == 0)
        return arena_printf(arena, "%s/%s", copies->clean, name).data;
    return arena_printf(arena, "%s/%u-%s", copies->partial, form, name).data;
}

/* 0: no name of a form. */
static uint32_t form_of(struct text leaf, struct text *ret_name)
{
    uint64_t form = 0;
    struct text number = TEXT_NONE;
    *ret_name = leaf;
    if (!text_split(ret_name, '-', &number) || !text_to_u64(number, &form) || form > UINT32_MAX)
        return 0;
    return (uint32_t)form;
}

/* Only what is surely no file there any more: one that cannot be looked at may come back. */
static bool is_gone(const char *directory_of_files, struct text name)
{
    struct stat facts;
    struct builder path = {0};
    builder_printf(&path, "%s/" TEXT_FMT, directory_of_files, TEXT_ARG(name));
    bool is_gone = lstat(path.data, &facts) != 0 && errno == ENOENT;
    builder_fini(&path);
    return is_gone;
}

static void purge(struct copies *copies, const char *directory_of_files)
{
    struct arena arena;
    struct text *names = NULL, name = TEXT_NONE;
    struct stat facts;
    size_t count = 0;
    if (stat(directory_of_files, &facts) != 0)
        return; /* it is away, not empty */
    arena_init(&arena, 0);
    if (directory_list(copies->clean, &arena, &names, &count))
        for (size_t i = 0; i < count; i++)
            if (is_gone(directory_of_files, names[i]))
                copies_forget(copies, names[i].data, 0);
    if (directory_list(copies->partial, &arena, &names, &count))
        for (size_t i = 0; i < count; i++) {
            bool is_form = form_of(names[i], &name) != 0 && !is_gone(directory_of_files, name);
            copies->has_partial |= is_form;
            if (!is_form)
                (void)unlink(arena_printf(&arena, "%s/%s", copies->partial, names[i].data).data);
        }
    arena_fini(&arena);
}

static bool make(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

struct copies *copies_new(const char *state_dir, const char *directory_of_files)
{
    struct builder path = {0};
    struct copies *copies = memory_new(struct copies);
    builder_printf(&path, "%s/files", state_dir);
    copies->clean = memory_string(builder_text(&path));
    builder_add_string(&path, "/partial");
    copies->partial = path.data;
    if (!make(copies->clean) || !make(copies->partial)) {
        int why = errno;
        copies_free(copies);
        errno = why;
        return NULL;
    }
    purge(copies, directory_of_files);
    return copies;
}

void copies_free(struct copies *copies)
{
    if (copies == NULL)
        return;
    free(copies->clean);
    free(copies->partial);
    free(copies);
}

bool copies_save(struct copies *copies, const char *name, uint32_t form, struct text content)
{
    struct arena arena;
    arena_init(&arena, 0);
    bool saved = file_replace(path_of(copies, name, form, &arena), content, 0600);
    copies->has_partial |= form != 0;
    int why = errno;
    arena_fini(&arena);
    errno = why;
    return saved;
}

bool copies_load(const struct copies *copies, const char *name, uint32_t form, struct arena *arena,
                 struct text *ret_content)
{
    return directory_read(path_of(copies, name, form, arena), arena, ret_content) == NULL;
}

static int by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

size_t copies_forms(const struct copies *copies, const char *name,
                    uint32_t ret_forms[LIMIT_FILE_FORMS])
{
    struct arena arena;
    struct text *names = NULL;
    size_t listed = 0, count = 0;
    if (!copies->has_partial)
        return 0;
    arena_init(&arena, 0);
    if (!directory_list(copies->partial, &arena, &names, &listed))
        listed = 0;
    uint32_t *all = arena_array(&arena, uint32_t, listed + 1);
    for (size_t i = 0; i < listed; i++) {
        struct text of = TEXT_NONE;
        uint32_t form = form_of(names[i], &of);
        if (form != 0 && text_is(of, name))
            all[count++] = form;
    }
    qsort(all, count, sizeof(*all), by_number);
    count = MIN(count, (size_t)LIMIT_FILE_FORMS);
    memcpy(ret_forms, all, count * sizeof(*all));
    arena_fini(&arena);
    return count;
}

void copies_forget(struct copies *copies, const char *name, uint32_t form)
{
    struct arena arena;
    arena_init(&arena, 0);
    (void)unlink(path_of(copies, name, form, &arena));
    arena_fini(&arena);
}

void copies_forget_all(struct copies *copies, const char *name)
{
    uint32_t forms[LIMIT_FILE_FORMS];
    copies_forget(copies, name, 0);
    for (size_t count; (count = copies_forms(copies, name, forms)) > 0;) {
        for (size_t i = 0; i < count; i++)
            copies_forget(copies, name, forms[i]);
        if (count < LIMIT_FILE_FORMS)
            return;
    }
}
