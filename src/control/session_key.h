/* The secret behind session persistence: from a file that all replicas are given, or one of our own
 * in the state directory, made at the first start. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

struct session_key {
    struct text secret; /* in the arena it was opened with */
};

#define SESSION_KEY_MIN 16 /* bytes: fewer could be guessed */

/* `given` is the content of such a file, or empty. NULL, or why not, in words. */
const char *session_key_open(struct session_key *key, struct text given, struct text state_dir,
                             struct arena *arena);
/* From a secret that all replicas of a cluster have: instead of one of our own. */
void session_key_share(struct session_key *key, struct text secret, struct arena *arena);
/* As translate_session_key (control/translate/translate.h); `owner` is the key. */
void session_key_derive(const void *owner, struct text scope, uint8_t out[32]);
