/* How one resource lies in the files of the state directory, little endian: type (1; with
 * STATE_RECORD_GONE: only that it is gone), length of name, version, bytes (4 each), then those. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "xds/resource_set.h"

#define STATE_RECORD_FRONT 13
#define STATE_RECORD_GONE  0x80u

void state_record_put_u64(char *at, uint64_t value);
uint64_t state_record_get(const char *at, unsigned bytes);

/* The front of `resource`, and what follows it. */
void state_record_front(const struct resource *resource, char front[STATE_RECORD_FRONT]);
void state_record_add(struct builder *out, const struct resource *resource);
void state_record_add_gone(struct builder *out, const struct resource *resource);

/* The first `len` bytes of `rest`, which moves behind them; false: it has not so many. */
bool state_record_take(struct text *rest, size_t len, struct text *ret_part);
/* The next record of `rest` into the set. In a log, a resource may be there already or be gone.
 * NULL, or static words. */
const char *state_record_apply(struct text *rest, bool in_log, struct resource_set *set);
/* Does the commit record in the set fit the set? Whole files of another time or place would pass
 * their digest; a foreign record would not pass this. NULL, or static words. */
const char *state_record_judge(const struct resource_set *set);
