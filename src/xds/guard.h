/* Calls whose caller must prove who it is before anybody upstairs hears of them: held, and what
 * they say not read, until the owner has judged their token. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "grpc/grpc.h"

struct guard;

/* Asks for a judgement of `token` (empty: there is none); guard_answer with the same ticket brings
 * it, now or later. */
typedef void (*guard_ask)(void *owner, uint64_t ticket, struct text token);

struct guard *guard_new(guard_ask ask, void *owner);
void guard_free(struct guard *guard); /* ends what is held */

/* Takes a call over. Admitted, it goes to `take` with its identity set, and its messages follow.
 * Refused, it ends with UNAUTHENTICATED. */
void guard_hold(struct guard *guard, struct grpc_call *call,
                void (*take)(void *owner, struct grpc_call *call), void *owner);
/* `identity` empty: refused, `why` says why. A ticket whose call is gone is nothing. */
void guard_answer(struct guard *guard, uint64_t ticket, struct text identity, const char *why);
