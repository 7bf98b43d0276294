/* One copy a file, under its own name, replaced by rename. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/copies.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "control/files/directory.h"

bool copies_make(const char *directory)
{
    return mkdir(directory, 0700) == 0 || errno == EEXIST;
}

bool copies_save(const char *directory, const char *name, struct text content)
{
    struct arena arena;
    arena_init(&arena, 0);
    const char *path = arena_printf(&arena, "%s/%s", directory, name).data;
    bool saved = file_replace(path, content, 0600);
    int why = errno;
    arena_fini(&arena);
    errno = why;
    return saved;
}

bool copies_load(const char *directory, const char *name, struct arena *arena,
                 struct text *ret_content)
{
    const char *path = arena_printf(arena, "%s/%s", directory, name).data;
    return directory_read(path, arena, ret_content) == NULL;
}

void copies_forget(const char *directory, const char *name)
{
    struct arena arena;
    arena_init(&arena, 0);
    (void)unlink(arena_printf(&arena, "%s/%s", directory, name).data);
    arena_fini(&arena);
}

void copies_purge(const char *directory, const char *directory_of_files)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct text *names = NULL;
    size_t count = 0;
    if (directory_list(directory, &arena, &names, &count)) {
        for (size_t i = 0; i < count; i++) {
            struct directory_stamp stamp;
            if (!directory_stamp(directory_of_files, names[i], &stamp))
                copies_forget(directory, names[i].data);
        }
    }
    arena_fini(&arena);
}
