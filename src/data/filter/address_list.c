/* Lets clients in by their address, IPv4 and IPv6. An IPv4 client of an IPv6 socket is an IPv4
 * client; one without an IP address is in no list. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>

#include "data/filter/filters.h"
#include "nantian/config/v1/filter.pb-c.h"

#define MAPPED_BITS 96 /* ::ffff:0:0/96 holds IPv4 */

struct key {
    unsigned char bytes[16]; /* IPv4: mapped */
};

struct range {
    struct key from;
    uint32_t bits;
};

struct ranges {
    struct range *items;
    uint32_t count;
};

struct address_list {
    struct ranges allow, deny;
};

static const unsigned char MAPPED[12] = {[10] = 0xff, [11] = 0xff};

static bool is_mapped(const struct key *key)
{
    return memcmp(key->bytes, MAPPED, sizeof(MAPPED)) == 0;
}

/* False: no IP address. */
static bool key_of(const struct address *address, struct key *ret_key)
{
    if (address->any.sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&address->storage;
        memcpy(ret_key->bytes, MAPPED, sizeof(MAPPED));
        memcpy(ret_key->bytes + sizeof(MAPPED), &in->sin_addr, 4);
        return true;
    }
    if (address->any.sa_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *in6 = (const void *)&address->storage;
    memcpy(ret_key->bytes, &in6->sin6_addr, sizeof(ret_key->bytes));
    return true;
}

static bool parse_range(struct text text, struct range *ret_range)
{
    size_t slash = text_find(text, '/', 0);
    struct address address;
    if (!address_parse(text_slice(text, 0, slash), 0, &address) ||
        !key_of(&address, &ret_range->from))
        return false;
    uint64_t bits, all = address.any.sa_family == AF_INET ? 32 : 128;
    if (slash == text.len)
        bits = all;
    else if (!text_to_u64(text_slice(text, slash + 1, text.len), &bits) || bits > all)
        return false;
    ret_range->bits = (uint32_t)bits + (all == 32 ? MAPPED_BITS : 0);
    return true;
}

static enum err take_ranges(char *const *from, size_t count, const char *list, struct arena *arena,
                            struct ranges *ret, struct fault *fault)
{
    ret->items = count == 0 ? NULL : arena_array(arena, struct range, count);
    for (size_t i = 0; i < count; i++) {
        if (!parse_range(text_of(from[i]), &ret->items[ret->count++])) {
            fault->field = arena_printf(arena, "%s[%zu]", list, i);
            fault->what = TEXT("is no range of addresses");
            return ERR_INVALID;
        }
    }
    return ERR_NONE;
}

static enum err compile(const void *message, struct arena *arena, const void **ret_config,
                        struct fault *fault)
{
    const Nantian__Config__V1__AddressList *from = message;
    struct address_list *config = arena_new(arena, struct address_list);
    *ret_config = config;
    enum err err = take_ranges(from->allow, from->n_allow, "allow", arena, &config->allow, fault);
    if (err == ERR_NONE)
        err = take_ranges(from->deny, from->n_deny, "deny", arena, &config->deny, fault);
    return err;
}

static bool is_in_range(const struct range *range, const struct key *key)
{
    uint32_t whole = range->bits / 8, rest = range->bits % 8;
    if (range->bits < MAPPED_BITS && is_mapped(key))
        return false; /* "::/0" is all of IPv6, and no more */
    if (memcmp(range->from.bytes, key->bytes, whole) != 0)
        return false;
    return rest == 0 || (range->from.bytes[whole] ^ key->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_in(const struct ranges *ranges, const struct key *key)
{
    for (uint32_t i = 0; i < ranges->count; i++)
        if (is_in_range(&ranges->items[i], key))
            return true;
    return false;
}

static enum filter_verdict on_request(struct exchange *x, const void *opaque, void *state)
{
    (void)state;
    const struct address_list *config = opaque;
    struct key key;
    bool is_ip = key_of(&x->peer, &key);
    bool is_allowed = config->allow.count == 0 || (is_ip && is_in(&config->allow, &key));
    if (is_allowed && !(is_ip && is_in(&config->deny, &key)))
        return FILTER_NEXT;
    exchange_respond(x, 403, FLAG_AC, "address_denied");
    exchange_respond_body(x, TEXT("text/plain; charset=utf-8"),
                          TEXT("This address may not come here.\n"));
    return FILTER_RESPOND;
}

const struct filter_type filter_address_list = {
    .name = "address_list",
    .compile = compile,
    .on_request = on_request,
};
