/* Paths and free ports of a standalone gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "net/listener.h"

struct text place_state_dir(const char *given, struct arena *arena)
{
    if (given != NULL)
        return arena_text(arena, text_of(given));
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state != NULL && state[0] == '/')
        return arena_printf(arena, "%s/nantian", state);
    if (geteuid() == 0)
        return TEXT("/var/lib/nantian");
    if (home != NULL && home[0] == '/')
        return arena_printf(arena, "%s/.local/state/nantian", home);
    return arena_printf(arena, "/tmp/nantian-%u", (unsigned)geteuid());
}

static bool make_dir(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* All folders on the way, and what planes use in the last. */
static bool make_dirs(char *path, struct arena *arena)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        make_dir(path); /* an upper folder that is missing shows below */
        *at = '/';
    }
    return make_dir(path) && make_dir(arena_printf(arena, "%s/control", path).data) &&
           make_dir(arena_printf(arena, "%s/proxy", path).data);
}

int place_take(struct text dir, const char **ret_why)
{
    static const struct address any_socket;
    struct arena arena;
    struct stat facts;
    int lock = -1;
    arena_init(&arena, 0);
    char *path = arena_string(&arena, dir);
    if (place_admin_socket(dir, &arena).len >= sizeof(any_socket.local.sun_path))
        *ret_why = "its path is longer than those of sockets may be";
    else if (stat(path, &facts) == 0 && facts.st_uid != geteuid() && facts.st_uid != 0 &&
             geteuid() != 0)
        *ret_why = "it belongs to somebody else"; /* who could read the keys in it */
    else if (!make_dirs(path, &arena) || (lock = file_lock(path)) < 0)
        *ret_why = errno == EWOULDBLOCK ? "another gateway uses it" : strerrordesc_np(errno);
    arena_fini(&arena);
    return lock;
}

struct text place_admin_socket(struct text dir, struct arena *arena)
{
    return arena_printf(arena, TEXT_FMT "/control.sock", TEXT_ARG(dir));
}

struct text place_xds_socket(struct text dir, struct arena *arena)
{
    return arena_printf(arena, TEXT_FMT "/xds.sock", TEXT_ARG(dir));
}

uint16_t place_free_port(uint16_t port)
{
    for (int tries = 0; tries < 100 && port != 0; tries++, port++) {
        struct address address;
        if (!address_parse(TEXT("127.0.0.1"), port, &address))
            return 0;
        int fd = listener_open(&address, false);
        if (fd >= 0) {
            close(fd);
            return port;
        }
    }
    return 0;
}
