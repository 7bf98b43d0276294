/* The gateway's own answers: the one table from what went wrong to status, flag and words. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/exchange/exchange.h"

/* Makes the response; `details` NULL takes the table's word. */
void respond_failure(struct exchange *x, enum err err, enum response_flag flag,
                     const char *details);
/* A refusal that is no failure (405, a backend's fail_status): `sentence` is the body. */
void respond_status(struct exchange *x, int status, enum response_flag flag, const char *details,
                    const char *sentence);
