/* One small file, made whole beside its place and then linked there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/session_key.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "control/files/directory.h"
#include "net/seal.h"

static bool write_key(const char *path)
{
    uint8_t secret[SEAL_KEY];
    random_secure(secret, sizeof(secret));
    return file_replace(path, text_from((const char *)secret, sizeof(secret)), 0600);
}

const char *session_key_open(struct session_key *key, struct text given, struct text state_dir,
                             struct arena *arena)
{
    key->secret = given;
    if (given.len == 0) {
        const char *directory = arena_string(arena, state_dir);
        const char *path = arena_printf(arena, "%s/session.key", directory).data;
        (void)mkdir(directory, 0700);
        if (access(path, F_OK) != 0 && !write_key(path))
            return strerrordesc_np(errno);
        const char *why = directory_read(path, arena, &key->secret);
        if (why != NULL)
            return why;
    }
    return key->secret.len < SESSION_KEY_MIN ? "it holds fewer than 16 bytes" : NULL;
}

void session_key_share(struct session_key *key, struct text secret, struct arena *arena)
{
    uint8_t derived[SEAL_KEY];
    seal_derive(secret, TEXT("sessions"), derived);
    key->secret = arena_text(arena, text_from((const char *)derived, sizeof(derived)));
}

void session_key_derive(const void *owner, struct text scope, uint8_t out[32])
{
    const struct session_key *key = owner;
    seal_derive(key->secret, scope, out);
}
