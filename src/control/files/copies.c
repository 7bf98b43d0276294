/* One copy a file, under its own name, replaced by rename. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/files/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/files/directory.h"

bool copies_make(const char *directory)
{
    return mkdir(directory, 0700) == 0 || errno == EEXIST;
}

static bool write_all(int fd, struct text content)
{
    while (content.len > 0) {
        ssize_t put = write(fd, content.data, content.len);
        if (put < 0 && errno != EINTR)
            return false;
        content = text_slice(content, put > 0 ? (size_t)put : 0, content.len);
    }
    return true;
}

bool copies_save(const char *directory, const char *name, struct text content)
{
    struct arena arena;
    arena_init(&arena, 0);
    const char *path = arena_printf(&arena, "%s/%s", directory, name).data;
    const char *temp = arena_printf(&arena, "%s/.%s.new", directory, name).data;
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool saved = fd >= 0 && write_all(fd, content);
    if (fd >= 0)
        close(fd);
    saved = saved && rename(temp, path) == 0;
    arena_fini(&arena);
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
