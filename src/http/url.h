/* Request targets and hosts: checked once at the door, in the one form that is routed, logged and
 * sent. Rewrites run url_normalise on their output. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "http/message.h"

/* A path (no query) into its normal form: unreserved escapes decoded, dot segments resolved, empty
 * segments merged if wanted. The result is `path` itself if it was normal, else in the arena.
 * False: not a path that may be routed; *ret_why says why (static words). */
MUST_USE bool url_normalise(struct arena *arena, struct text path, bool merge_slashes,
                            struct text *ret_path, const char **ret_why);

/* The target of a request line or :path, into path, query, has_query, and for an absolute target
 * scheme and authority (as written). method must be set. */
MUST_USE bool url_parse_target(struct arena *arena, struct text target, bool merge_slashes,
                               struct message *message, const char **ret_why);

/* A host with an optional port, lower-cased and checked, into authority and host (without port,
 * final dot or, for IPv6, with its brackets). */
MUST_USE bool url_parse_authority(struct arena *arena, struct text authority,
                                  struct message *message, const char **ret_why);
