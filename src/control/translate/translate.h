/* The driver: store -> outcome, whole or only what a list of changes reaches. Pure: no I/O, no
 * clock; what needs a TLS library or a regex engine is asked through the options. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/translate/outcome.h"

/* The release of Gateway API that this is made for: any patch of it. */
#define TRANSLATE_BUNDLE     "v1.7"
#define TRANSLATE_CONTROLLER "nantian.dev/gateway-controller"

/* Both answer whether the data plane could use it; if not, *ret_why is a static or arena text.
 * A certificate that can be used may have one, too: why clients may refuse it. */
typedef bool (*translate_check_certificate)(struct text chain, struct text key, struct arena *arena,
                                            struct text *ret_why);
typedef bool (*translate_check_text)(struct text text, struct arena *arena, struct text *ret_why);

/* The key of the sessions of `scope`: the same in every replica, over restarts. */
typedef void (*translate_session_key)(const void *owner, struct text scope, uint8_t out[32]);

struct translate_options {
    struct text controller; /* empty: TRANSLATE_CONTROLLER */
    /* A directory, not a cluster: GatewayClasses and Namespaces may be missing, Gateways without
     * addresses share the default ones. */
    bool standalone;
    const struct text *addresses; /* of Gateways that name none; may be none */
    size_t address_count;
    uint64_t capabilities; /* see capability.h; 0: what the data plane of this release can do */
    translate_check_certificate check_certificate; /* NULL: only that PEM blocks are there */
    translate_check_text check_ca;                 /* NULL: the same */
    translate_check_text check_regex;              /* NULL: every expression is taken */
    translate_session_key session_key; /* NULL: no secret, for outcomes that nobody serves */
    const void *session_owner;         /* of session_key */
    struct text bundle;                /* see outcome_set_bundle; copied */
};

/* Everything anew. `options` are copied shallowly: what they point to outlives the outcome. */
struct outcome *translate(struct store *store, const struct translate_options *options);

/* Takes up the changes since the last run; the result is what translate() would make of the store
 * now. The edits are those of this run and live until the next one. */
const struct outcome_edits *translate_apply(struct outcome *outcome, struct store *store,
                                            const struct store_changes *changes);
