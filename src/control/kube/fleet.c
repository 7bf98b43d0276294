/* Names of fleets, and the way back from a name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kube/fleet.h"

#include "base/hash.h"
#include "control/kind/gateway.h"
#include "control/store/parameters.h"

#define NAME_MAX_BYTES 63
#define DIGEST_BYTES   8

static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-';
}

/* True: all of it was plain. */
static bool make_plain(char *name, size_t len)
{
    bool is_same = true;
    for (size_t i = 0; i < len; i++) {
        if (is_plain(name[i]))
            continue;
        name[i] = '-';
        is_same = false;
    }
    return is_same;
}

/* "<word>-<plain, as much as fits>-<digest of whole>" */
static struct text digested(const char *word, const char *plain, struct text whole,
                            struct arena *arena)
{
    char digest[33];
    size_t room = NAME_MAX_BYTES - strlen(word) - DIGEST_BYTES - 2;
    digest_format(hash_digest(whole), digest);
    return arena_printf(arena, "%s-%.*s-%.*s", word, (int)MIN(strlen(plain), room), plain,
                        DIGEST_BYTES, digest);
}

static struct text gateway_name(const struct kind_object *gateway, struct arena *arena)
{
    struct text whole = arena_printf(arena, TEXT_FMT "-" TEXT_FMT, TEXT_ARG(gateway->meta.name),
                                     TEXT_ARG(gateway->gateway->class_name));
    char *plain = arena_string(arena, whole);
    bool is_same = make_plain(plain, whole.len) && whole.len <= NAME_MAX_BYTES && plain[0] >= 'a' &&
                   plain[0] <= 'z';
    return is_same ? whole : digested("gw", plain, whole, arena);
}

static struct text class_path(const struct kind_object *class, struct arena *arena)
{
    return arena_printf(arena, "/" TEXT_FMT, TEXT_ARG(class->meta.name));
}

static struct text class_fleet_name(const struct kind_object *class, struct arena *arena)
{
    char *plain = arena_string(arena, class->meta.name);
    (void)make_plain(plain, class->meta.name.len);
    return digested("fleet", plain, class_path(class, arena), arena);
}

static struct text class_label(struct text name, struct arena *arena)
{
    if (name.len <= NAME_MAX_BYTES)
        return name;
    char *plain = arena_string(arena, name);
    (void)make_plain(plain, name.len);
    return digested("class", plain, name, arena);
}

struct fleet fleet_of_gateway(const struct kind_object *gateway, struct arena *arena)
{
    struct fleet fleet = {
        .path = arena_printf(arena, TEXT_FMT "/" TEXT_FMT, TEXT_ARG(gateway->meta.namespace),
                             TEXT_ARG(gateway->meta.name)),
        .namespace = gateway->meta.namespace,
        .name = gateway_name(gateway, arena),
        .class_name = gateway->gateway->class_name,
        .class_label = class_label(gateway->gateway->class_name, arena),
        .owner = gateway,
        .gateways = arena_array(arena, const struct kind_object *, 1),
        .gateway_count = 1,
    };
    fleet.gateways[0] = gateway;
    return fleet;
}

bool fleet_of_class(struct store *store, const struct kind_object *class, struct arena *arena,
                    struct fleet *ret_fleet)
{
    struct text namespace = parameters_fleet(store, class);
    if (namespace.len == 0)
        return false;
    *ret_fleet = (struct fleet){
        .path = class_path(class, arena),
        .namespace = namespace,
        .name = class_fleet_name(class, arena),
        .class_name = class->meta.name,
        .class_label = class_label(class->meta.name, arena),
        .owner = class,
        .gateways =
            arena_array(arena, const struct kind_object *, store_count(store, KIND_GATEWAY)),
    };
    return true;
}
