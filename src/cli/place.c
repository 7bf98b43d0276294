/* Paths and free ports of a standalone gateway. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

bool place_make(struct text dir)
{
    struct arena arena;
    arena_init(&arena, 0);
    char *path = arena_string(&arena, dir);
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        make_dir(path); /* an upper folder that is missing shows below */
        *at = '/';
    }
    bool made = make_dir(path) && make_dir(arena_printf(&arena, "%s/control", path).data) &&
                make_dir(arena_printf(&arena, "%s/proxy", path).data);
    int why = errno;
    arena_fini(&arena);
    errno = why;
    return made;
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
