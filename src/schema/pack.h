/* From a message to wire bytes: the same message always gives the same bytes, so that their digest
 * can be the resource's version. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* `message` is any generated struct. Fields in order of their numbers, defaults left out. */
struct text schema_pack(const void *message, struct arena *arena);
