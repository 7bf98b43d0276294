/* Which hostnames have hosts in common (Gateway API: hostname intersection). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/terms/hostname.h"

struct text hostname_lower(struct arena *arena, struct text hostname)
{
    char *copy = arena_string(arena, hostname);
    for (size_t i = 0; i < hostname.len; i++) {
        if (copy[i] >= 'A' && copy[i] <= 'Z')
            copy[i] = (char)(copy[i] + ('a' - 'A'));
    }
    return text_from(copy, hostname.len);
}

static bool is_wildcard(struct text hostname)
{
    return hostname.len > 2 && hostname.data[0] == '*' && hostname.data[1] == '.';
}

/* "*.example.com" holds "a.example.com", "b.a.example.com" and "*.a.example.com". */
static bool holds(struct text wildcard, struct text other)
{
    struct text suffix = text_slice(wildcard, 1, wildcard.len);
    return other.len > suffix.len && text_ends_with(other, suffix);
}

bool hostname_intersects(struct text a, struct text b)
{
    if (a.len == 0 || b.len == 0 || text_equal(a, b))
        return true;
    return (is_wildcard(a) && holds(a, b)) || (is_wildcard(b) && holds(b, a));
}
