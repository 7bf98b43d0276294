/* Parsing the PROXY header from what is there so far, and writing it. Nothing is kept between two
 * looks: a header is short. (The PROXY protocol, HAProxy Technologies, 2020, sections 2.1, 2.2) */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/limits.h"

#define V1_MAX  107 /* with CR LF */
#define V1_MIN  15  /* "PROXY UNKNOWN\r\n" */
#define V2_HEAD 16

static const char SIGNATURE[] = "\r\n\r\n\0\r\nQUIT\n";
#define SIGNATURE_LEN (sizeof(SIGNATURE) - 1)

enum v2_command { V2_LOCAL = 0x20, V2_PROXY = 0x21 };
enum v2_family { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };

static enum err refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return ERR_PROTOCOL;
}

static bool is_prefix(struct text bytes, struct text of)
{
    size_t len = MIN(bytes.len, of.len);
    return len == 0 || memcmp(bytes.data, of.data, len) == 0;
}

/* ---- version 1: a line ---- */

static bool parse_port(struct text word, uint16_t *ret_port)
{
    uint64_t port;
    if (word.len > 5 || (word.len > 1 && word.data[0] == '0') || !text_to_u64(word, &port) ||
        port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* Numbers of exactly that family: no brackets, no zone, no leading zeros (inet_pton is strict). */
static bool parse_host(struct text word, int family, uint16_t port, struct address *ret_address)
{
    char host[INET6_ADDRSTRLEN];
    unsigned char parsed[16];
    if (word.len == 0 || word.len >= sizeof(host) || memchr(word.data, '\0', word.len) != NULL)
        return false;
    memcpy(host, word.data, word.len);
    host[word.len] = '\0';
    return inet_pton(family, host, parsed) == 1 && address_parse(word, port, ret_address);
}

static enum err parse_line(struct text line, struct proxy_protocol *ret_header,
                           const char **ret_why)
{
    struct text rest = text_slice(line, 6, line.len), words[5];
    *ret_header = (struct proxy_protocol){.version = 1};
    if (text_is(rest, "UNKNOWN") || text_starts_with(rest, TEXT("UNKNOWN ")))
        return ERR_NONE; /* what follows is to be ignored */
    size_t count = 0;
    struct text word;
    while (text_split(&rest, ' ', &word)) {
        if (count == ARRAY_LEN(words))
            return refuse(ret_why, "proxy: too many words");
        words[count++] = word;
    }
    bool is_v6 = count > 0 && text_is(words[0], "TCP6");
    if (!is_v6 && (count == 0 || !text_is(words[0], "TCP4")))
        return refuse(ret_why, "proxy: unknown family");
    if (count != ARRAY_LEN(words))
        return refuse(ret_why, "proxy: too few words");
    uint16_t from, to;
    if (!parse_port(words[3], &from) || !parse_port(words[4], &to))
        return refuse(ret_why, "proxy: bad port");
    int family = is_v6 ? AF_INET6 : AF_INET;
    if (!parse_host(words[1], family, from, &ret_header->source) ||
        !parse_host(words[2], family, to, &ret_header->destination))
        return refuse(ret_why, "proxy: bad address");
    ret_header->has_addresses = true;
    return ERR_NONE;
}

static enum err parse_v1(struct text bytes, struct proxy_protocol *ret_header, size_t *ret_len,
                         const char **ret_why)
{
    static const struct text starts[] = {
        {"PROXY TCP4 ", 11}, {"PROXY TCP6 ", 11}, {"PROXY UNKNOWN ", 14}, {"PROXY UNKNOWN\r", 14}};
    bool possible = false;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        possible = possible || is_prefix(bytes, starts[i]);
    if (!possible)
        return refuse(ret_why, "proxy: not a header");
    struct text seen = text_slice(bytes, 0, V1_MAX);
    for (size_t i = 0; i < seen.len; i++) {
        unsigned char byte = (unsigned char)seen.data[i];
        bool ended = byte == '\n' && i > 0 && seen.data[i - 1] == '\r';
        if (ended) {
            *ret_len = i + 1;
            return parse_line(text_slice(seen, 0, i - 1), ret_header, ret_why);
        }
        bool after_cr = i > 0 && seen.data[i - 1] == '\r';
        if (after_cr || (byte != '\r' && (byte < ' ' || byte > '~')))
            return refuse(ret_why, "proxy: bad byte in the line");
    }
    bool has_cr = seen.len > 0 && seen.data[seen.len - 1] == '\r';
    *ret_len = MAX(seen.len + (has_cr ? 1 : 2), (size_t)V1_MIN);
    if (*ret_len <= V1_MAX)
        return ERR_AGAIN;
    *ret_why = "proxy: the line is too long";
    return ERR_LIMIT;
}

/* ---- version 2: binary ---- */

static struct address take_address(int family, const char *host, const char *port)
{
    struct address address = {.len = family == AF_INET ? sizeof(struct sockaddr_in)
                                                       : sizeof(struct sockaddr_in6)};
    if (family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        memcpy(&in.sin_addr, host, 4);
        memcpy(&in.sin_port, port, 2);
        memcpy(&address.storage, &in, sizeof(in));
    } else {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6};
        memcpy(&in.sin6_addr, host, 16);
        memcpy(&in.sin6_port, port, 2);
        memcpy(&address.storage, &in, sizeof(in));
    }
    return address;
}

static size_t get_u16(const char *at)
{
    return (size_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

/* Type, length, value; none of them matters here, but they must fill their room exactly. */
static bool skip_tlvs(struct text rest)
{
    while (rest.len >= 3) {
        size_t len = 3 + get_u16(rest.data + 1);
        if (len > rest.len)
            return false;
        rest = text_slice(rest, len, rest.len);
    }
    return rest.len == 0;
}

static enum err parse_body(unsigned family, struct text body, struct proxy_protocol *ret_header,
                           const char **ret_why)
{
    size_t host = family == V2_TCP4 ? 4 : 16, size = 2 * host + 4;
    if (family == V2_UNSPEC)
        return ERR_NONE; /* whatever follows is to be ignored */
    if (family == V2_UNIX)
        size = 216;
    if (body.len < size)
        return refuse(ret_why, "proxy: no room for the addresses");
    if (!skip_tlvs(text_slice(body, size, body.len)))
        return refuse(ret_why, "proxy: broken extension");
    if (family == V2_UNIX)
        return ERR_NONE; /* names of sockets on another machine say nothing here */
    int kind = family == V2_TCP4 ? AF_INET : AF_INET6;
    const char *ports = body.data + 2 * host;
    ret_header->source = take_address(kind, body.data, ports);
    ret_header->destination = take_address(kind, body.data + host, ports + 2);
    ret_header->has_addresses = true;
    return ERR_NONE;
}

static enum err parse_v2(struct text bytes, struct proxy_protocol *ret_header, size_t *ret_len,
                         const char **ret_why)
{
    *ret_header = (struct proxy_protocol){.version = 2};
    unsigned command = bytes.len > 12 ? (unsigned char)bytes.data[12] : V2_LOCAL;
    unsigned family = bytes.len > 13 ? (unsigned char)bytes.data[13] : V2_UNSPEC;
    if (command != V2_LOCAL && command != V2_PROXY)
        return refuse(ret_why, "proxy: unknown version or command");
    /* LOCAL: the family is to be ignored. */
    if (command == V2_PROXY && family != V2_UNSPEC && family != V2_TCP4 && family != V2_TCP6 &&
        family != V2_UNIX)
        return refuse(ret_why, "proxy: unknown family");
    *ret_len = V2_HEAD;
    if (bytes.len < V2_HEAD)
        return ERR_AGAIN;
    size_t len = get_u16(bytes.data + 14);
    if (len > LIMIT_PROXY_PROTOCOL) {
        *ret_why = "proxy: the header is too long";
        return ERR_LIMIT;
    }
    *ret_len = V2_HEAD + len;
    if (bytes.len < *ret_len)
        return ERR_AGAIN;
    ret_header->is_local = command == V2_LOCAL;
    if (ret_header->is_local)
        return ERR_NONE;
    return parse_body(family, text_slice(bytes, V2_HEAD, *ret_len), ret_header, ret_why);
}

enum err proxy_protocol_parse(struct text bytes, struct proxy_protocol *ret_header, size_t *ret_len,
                              const char **ret_why)
{
    *ret_len = SIGNATURE_LEN; /* both forms are longer */
    if (bytes.len == 0)
        return ERR_AGAIN;
    if (!is_prefix(bytes, text_from(SIGNATURE, SIGNATURE_LEN)))
        return parse_v1(bytes, ret_header, ret_len, ret_why);
    if (bytes.len < SIGNATURE_LEN)
        return ERR_AGAIN;
    return parse_v2(bytes, ret_header, ret_len, ret_why);
}

/* ---- writing ---- */

static bool is_usable(const struct proxy_protocol *header)
{
    int from = header->source.any.sa_family, to = header->destination.any.sa_family;
    return header->has_addresses && !header->is_local && from == to &&
           (from == AF_INET || from == AF_INET6);
}

static void write_v1(struct builder *out, const struct proxy_protocol *header)
{
    char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];
    if (!is_usable(header)) {
        builder_add_string(out, "PROXY UNKNOWN\r\n");
        return;
    }
    struct text source = address_format_host(&header->source, from);
    struct text destination = address_format_host(&header->destination, to);
    builder_printf(out, "PROXY TCP%c " TEXT_FMT " " TEXT_FMT " %u %u\r\n",
                   header->source.any.sa_family == AF_INET ? '4' : '6', TEXT_ARG(source),
                   TEXT_ARG(destination), address_port(&header->source),
                   address_port(&header->destination));
}

static void add_host(struct builder *out, const struct address *address)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (address->any.sa_family == AF_INET) {
        memcpy(&in, &address->storage, sizeof(in));
        builder_add(out, text_from((const char *)&in.sin_addr, 4));
    } else {
        memcpy(&in6, &address->storage, sizeof(in6));
        builder_add(out, text_from((const char *)&in6.sin6_addr, 16));
    }
}

static void add_u16(struct builder *out, size_t number)
{
    builder_add_char(out, (char)(unsigned char)(number >> 8));
    builder_add_char(out, (char)(unsigned char)number);
}

static void write_v2(struct builder *out, const struct proxy_protocol *header)
{
    bool usable = is_usable(header), is_v4 = header->source.any.sa_family == AF_INET;
    builder_add(out, text_from(SIGNATURE, SIGNATURE_LEN));
    unsigned command = header->is_local ? V2_LOCAL : V2_PROXY;
    unsigned family = !usable ? V2_UNSPEC : is_v4 ? V2_TCP4 : V2_TCP6;
    add_u16(out, command << 8 | family);
    add_u16(out, !usable ? 0 : is_v4 ? 12 : 36);
    if (!usable)
        return;
    add_host(out, &header->source);
    add_host(out, &header->destination);
    add_u16(out, address_port(&header->source));
    add_u16(out, address_port(&header->destination));
}

void proxy_protocol_write(struct builder *out, const struct proxy_protocol *header)
{
    if (header->version == 1)
        write_v1(out, header);
    else
        write_v2(out, header);
}
