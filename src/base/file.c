/* Descriptors and paths, with plain system calls. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/builder.h"

void file_open_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) != fd)
            _exit(1); /* the lowest free number is this one; else there is no /dev/null */
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

static bool write_file(const char *path, struct text content, unsigned mode)
{
    if (unlink(path) != 0 && errno != ENOENT) /* left by a crash, perhaps with another mode */
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    bool is_written = write_all(fd, content);
    int why = errno;
    if (close(fd) != 0 && is_written)
        return false;
    errno = why;
    return is_written;
}

bool file_replace(const char *path, struct text content, unsigned mode)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    struct builder temp = {0};
    builder_printf(&temp, "%.*s.%s.new", (int)folder, path, path + folder);
    bool is_replaced = write_file(temp.data, content, mode) && rename(temp.data, path) == 0;
    int why = errno;
    if (!is_replaced)
        (void)unlink(temp.data);
    builder_fini(&temp);
    errno = why;
    return is_replaced;
}

int file_lock(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return fd; /* a file system without locks is no reason to stay away */
    close(fd);
    errno = EWOULDBLOCK;
    return -1;
}
