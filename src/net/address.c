/* Addresses from text and back. Numbers only: names are resolved elsewhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static struct sockaddr_in *as_v4(const struct address *address)
{
    return (struct sockaddr_in *)(void *)(uintptr_t)&address->storage;
}

static struct sockaddr_in6 *as_v6(const struct address *address)
{
    return (struct sockaddr_in6 *)(void *)(uintptr_t)&address->storage;
}

bool address_parse(struct text host, uint16_t port, struct address *ret_address)
{
    char name[INET6_ADDRSTRLEN];
    bool bracketed = host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (bracketed)
        host = text_slice(host, 1, host.len - 1);
    if (host.len == 0 || host.len >= sizeof(name) || text_find(host, 0, 0) < host.len)
        return false;
    memcpy(name, host.data, host.len);
    name[host.len] = 0;

    struct address address = {0};
    if (!bracketed && inet_pton(AF_INET, name, &as_v4(&address)->sin_addr) == 1) {
        address.len = sizeof(struct sockaddr_in);
        address.any.sa_family = AF_INET;
    } else {
        memset(&address, 0, sizeof(address));
        if (inet_pton(AF_INET6, name, &as_v6(&address)->sin6_addr) != 1)
            return false;
        address.len = sizeof(struct sockaddr_in6);
        address.any.sa_family = AF_INET6;
    }
    address_set_port(&address, port);
    *ret_address = address;
    return true;
}

/* "/run/x.sock", or "@name" for one without a file. */
static bool parse_path(struct text path, struct address *ret_address)
{
    struct address address = {0};
    bool abstract = path.len > 0 && path.data[0] == '@';
    if (path.len <= (abstract ? 1 : 0) || path.len >= sizeof(address.local.sun_path) ||
        text_find(path, 0, 0) < path.len)
        return false;
    address.local.sun_family = AF_UNIX;
    memcpy(address.local.sun_path, path.data, path.len);
    size_t len = offsetof(struct sockaddr_un, sun_path) + path.len;
    if (abstract)
        address.local.sun_path[0] = 0;
    else
        len++;
    address.len = (socklen_t)len;
    *ret_address = address;
    return true;
}

bool address_parse_endpoint(struct text text, struct address *ret_address)
{
    if (text_starts_with(text, TEXT("unix:")))
        return parse_path(text_slice(text, 5, text.len), ret_address);
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct text host = text_slice(text, 0, colon - 1);
    struct text digits = text_slice(text, colon, text.len);
    uint64_t port;
    if (digits.len > 5 || !text_to_u64(digits, &port) || port > UINT16_MAX)
        return false;
    if (host.len == 0)
        host = TEXT("0.0.0.0");
    else if (text_find(host, ':', 0) < host.len && host.data[0] != '[')
        return false; /* IPv6 without brackets: nobody knows where the port begins */
    return address_parse(host, (uint16_t)port, ret_address);
}

static struct text path_of(const struct address *address)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    if (address->len <= head)
        return TEXT_NONE;
    const char *path = address->local.sun_path;
    size_t len = address->len - head;
    return text_from(path, path[0] == 0 ? len : strnlen(path, len));
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (a->len == 0 || b->len == 0)
        return a->len == b->len;
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return as_v4(a)->sin_port == as_v4(b)->sin_port &&
               as_v4(a)->sin_addr.s_addr == as_v4(b)->sin_addr.s_addr;
    if (a->any.sa_family == AF_INET6)
        return as_v6(a)->sin6_port == as_v6(b)->sin6_port &&
               as_v6(a)->sin6_scope_id == as_v6(b)->sin6_scope_id &&
               memcmp(&as_v6(a)->sin6_addr, &as_v6(b)->sin6_addr, sizeof(struct in6_addr)) == 0;
    return text_equal(path_of(a), path_of(b));
}

bool address_is_loopback(const struct address *address)
{
    if (address->len == 0)
        return false;
    if (address->any.sa_family == AF_INET)
        return as_v4(address)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    return address->any.sa_family == AF_INET6 &&
           memcmp(&as_v6(address)->sin6_addr, &in6addr_loopback, sizeof(struct in6_addr)) == 0;
}

static bool is_v4_here(const uint8_t bytes[4])
{
    return bytes[0] == 127 || bytes[0] == 0;
}

bool address_is_here(const struct address *address)
{
    if (address->len == 0)
        return false;
    if (address->any.sa_family == AF_INET)
        return is_v4_here((const uint8_t *)&as_v4(address)->sin_addr);
    if (address->any.sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &as_v6(address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || IN6_IS_ADDR_UNSPECIFIED(v6) ||
           (IN6_IS_ADDR_V4MAPPED(v6) && is_v4_here(&v6->s6_addr[12]));
}

uint16_t address_port(const struct address *address)
{
    if (address->len == 0)
        return 0;
    if (address->any.sa_family == AF_INET)
        return ntohs(as_v4(address)->sin_port);
    if (address->any.sa_family == AF_INET6)
        return ntohs(as_v6(address)->sin6_port);
    return 0;
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        as_v4(address)->sin_port = htons(port);
    else if (address->any.sa_family == AF_INET6)
        as_v6(address)->sin6_port = htons(port);
}

static struct text format_path(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    struct text path = path_of(address);
    bool abstract = path.len > 0 && path.data[0] == 0;
    struct text name = text_slice(path, abstract ? 1 : 0, path.len);
    int len = snprintf(out, ADDRESS_TEXT_MAX, "unix:%s" TEXT_FMT, abstract ? "@" : "",
                       (int)name.len, name.data == NULL ? "" : name.data);
    return text_from(out, (size_t)len);
}

struct text address_format_host(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    out[0] = 0;
    if (address->len == 0)
        return text_from(out, 0);
    if (address->any.sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &as_v4(address)->sin_addr, out, ADDRESS_TEXT_MAX);
    else if (address->any.sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &as_v6(address)->sin6_addr, out, ADDRESS_TEXT_MAX);
    else
        return format_path(address, out);
    return text_of(out);
}

struct text address_format(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    char host[ADDRESS_TEXT_MAX];
    struct text text = address_format_host(address, host);
    bool v6 = address->len != 0 && address->any.sa_family == AF_INET6;
    bool has_port = v6 || (address->len != 0 && address->any.sa_family == AF_INET);
    if (!has_port) {
        memcpy(out, host, text.len + 1);
        return text_from(out, text.len);
    }
    int len = snprintf(out, ADDRESS_TEXT_MAX, v6 ? "[%.64s]:%u" : "%.64s:%u", host,
                       (unsigned)address_port(address));
    return text_from(out, (size_t)len);
}

struct text address_client(const struct address *address)
{
    if (address->len == 0)
        return TEXT_NONE;
    if (address->any.sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&address->storage;
        return text_from((const char *)&in->sin_addr, sizeof(in->sin_addr));
    }
    if (address->any.sa_family != AF_INET6)
        return TEXT_NONE;
    const struct sockaddr_in6 *in6 = (const void *)&address->storage;
    const char *bytes = (const char *)&in6->sin6_addr;
    return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? text_from(bytes + 12, 4) : text_from(bytes, 8);
}
