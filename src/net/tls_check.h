/* PEM that a user wrote, judged before anything is built of it: what a status says. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

/* False with static words in *ret_why when the chain and key make no certificate that serves. */
bool tls_check_certificate(struct text chain_pem, struct text key_pem, struct arena *arena,
                           struct text *ret_why);
/* False with static words in *ret_why when the certificates cannot be trusted ones. */
bool tls_check_ca(struct text pem, struct arena *arena, struct text *ret_why);
