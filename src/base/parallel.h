/* One call for each of many pieces of work, on as many threads as there are processors. The pieces
 * must not touch each other. Returns when all are done. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* `each` is called once with every index below `count`, on any thread, in any order. */
void parallel_each(size_t count, void *owner, void (*each)(void *owner, size_t index));
