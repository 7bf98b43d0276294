/* Ordering and spelling of snapshot versions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "schema/version.h"

#include <inttypes.h>
#include <string.h>

#include "base/builder.h"

static enum version_order compare_vectors(const struct snapshot_version *offered,
                                          const struct snapshot_version *held)
{
    bool ahead = false, behind = false;
    uint32_t i = 0, k = 0;
    while (i < offered->count || k < held->count) {
        int side = 0;
        if (i == offered->count)
            side = 1;
        else if (k == held->count)
            side = -1;
        else
            side = strcmp(offered->vector[i].kind, held->vector[k].kind);
        uint64_t new_revision = side <= 0 ? offered->vector[i++].revision : 0;
        uint64_t old_revision = side >= 0 ? held->vector[k++].revision : 0;
        ahead |= new_revision > old_revision;
        behind |= new_revision < old_revision;
    }
    if (ahead && behind)
        return VERSION_INCOMPARABLE;
    if (ahead)
        return VERSION_NEWER;
    return behind ? VERSION_OLDER : VERSION_EQUAL;
}

enum version_order version_compare(const struct snapshot_version *offered,
                                   const struct snapshot_version *held)
{
    if (offered->epoch != held->epoch)
        return offered->epoch > held->epoch ? VERSION_NEWER : VERSION_OLDER;
    if (offered->hold != held->hold)
        return offered->hold > held->hold ? VERSION_NEWER : VERSION_OLDER;
    return compare_vectors(offered, held);
}

const char *version_order_name(enum version_order order)
{
    static const char *const NAMES[] = {"older", "equal", "newer", "incomparable"};
    CHECK((size_t)order < ARRAY_LEN(NAMES));
    return NAMES[order];
}

bool version_set(struct snapshot_version *version, struct text kind, uint64_t revision)
{
    if (kind.len == 0 || kind.len > LIMIT_VERSION_KIND)
        return false;
    uint32_t at = 0;
    while (at < version->count && text_compare(text_of(version->vector[at].kind), kind) < 0)
        at++;
    struct version_component *place = &version->vector[at];
    if (at == version->count || !text_is(kind, place->kind)) {
        if (version->count == LIMIT_VERSION_KINDS)
            return false;
        memmove(place + 1, place, (version->count - at) * sizeof(*place));
        version->count++;
        memset(place, 0, sizeof(*place));
        memcpy(place->kind, kind.data, kind.len);
    }
    place->revision = revision;
    return true;
}

uint64_t version_get(const struct snapshot_version *version, struct text kind)
{
    for (uint32_t i = 0; i < version->count; i++) {
        if (text_is(kind, version->vector[i].kind))
            return version->vector[i].revision;
    }
    return 0;
}

bool version_since(const struct snapshot_version *version, const struct snapshot_version *base,
                   struct snapshot_version *ret_changes)
{
    struct snapshot_version changes = {.epoch = version->epoch, .hold = version->hold};
    if (version->epoch != base->epoch || version->hold != base->hold)
        return false;
    uint32_t known = 0;
    for (uint32_t i = 0; i < version->count; i++) {
        const struct version_component *one = &version->vector[i];
        bool is_known = known < base->count && strcmp(base->vector[known].kind, one->kind) == 0;
        if (!is_known || base->vector[known].revision != one->revision)
            changes.vector[changes.count++] = *one;
        known += is_known;
    }
    *ret_changes = changes;
    return known == base->count;
}

struct text version_format(const struct snapshot_version *version, struct arena *arena)
{
    CLEANUP(builder_fini) struct builder out = {0};
    builder_printf(&out, "%" PRIu64 ".%" PRIu64 ".", version->epoch, version->hold);
    if (version->count <= 1)
        builder_add_u64(&out, version->count == 0 ? 0 : version->vector[0].revision);
    for (uint32_t i = 0; version->count > 1 && i < version->count; i++)
        builder_printf(&out, "%s%s:%" PRIu64, i == 0 ? "" : ",", version->vector[i].kind,
                       version->vector[i].revision);
    return arena_text(arena, builder_text(&out));
}

bool version_from_message(const Nantian__Config__V1__Version *message,
                          struct snapshot_version *ret_version)
{
    if (message == NULL || message->n_vector > LIMIT_VERSION_KINDS)
        return false;
    struct snapshot_version version = {.epoch = message->epoch, .hold = message->hold};
    for (size_t i = 0; i < message->n_vector; i++) {
        const Nantian__Config__V1__Component *component = message->vector[i];
        if (!version_set(&version, text_of(component->kind), component->revision))
            return false;
        if (version.count != i + 1)
            return false;
    }
    *ret_version = version;
    return true;
}

Nantian__Config__V1__Version *version_to_message(const struct snapshot_version *version,
                                                 struct arena *arena)
{
    Nantian__Config__V1__Version *message = arena_new(arena, Nantian__Config__V1__Version);
    nantian__config__v1__version__init(message);
    message->epoch = version->epoch;
    message->hold = version->hold;
    message->n_vector = version->count;
    message->vector = arena_array(arena, Nantian__Config__V1__Component *, version->count + 1);
    for (uint32_t i = 0; i < version->count; i++) {
        message->vector[i] = arena_new(arena, Nantian__Config__V1__Component);
        nantian__config__v1__component__init(message->vector[i]);
        message->vector[i]->kind = arena_string(arena, text_of(version->vector[i].kind));
        message->vector[i]->revision = version->vector[i].revision;
    }
    return message;
}
