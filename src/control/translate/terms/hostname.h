/* Hostnames of listeners and routes: "", "example.com", "*.example.com"; lower case. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

struct text hostname_lower(struct arena *arena, struct text hostname);
/* True if some host matches both; an empty one matches every host, a wildcard one or more labels.
 */
bool hostname_intersects(struct text a, struct text b);
