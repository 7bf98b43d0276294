/* Matchers for the patterns of the CRDs, by hand: no regular expressions at run time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/kind/format.h"

#include <arpa/inet.h>

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_lower_alnum(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z');
}

static bool is_alpha(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_alnum(char byte)
{
    return is_digit(byte) || is_alpha(byte);
}

static bool all_of(struct text text, const char *others)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.data[i]) &&
            (text.data[i] == '\0' || strchr(others, text.data[i]) == NULL))
            return false;
    return true;
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static bool is_label(struct text text)
{
    if (text.len == 0 || text.data[0] == '-' || text.data[text.len - 1] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_lower_alnum(text.data[i]) && text.data[i] != '-')
            return false;
    return true;
}

static bool is_subdomain(struct text text)
{
    struct text label;
    if (text.len == 0 || text.data[text.len - 1] == '.')
        return false;
    while (text_split(&text, '.', &label))
        if (!is_label(label))
            return false;
    return true;
}

static bool is_group(struct text text)
{
    return text.len == 0 || is_subdomain(text);
}

static bool is_hostname(struct text text)
{
    return is_subdomain(text_starts_with(text, TEXT("*.")) ? text_slice(text, 2, text.len) : text);
}

/* [a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])? */
static bool is_kind(struct text text)
{
    return text.len > 0 && is_alpha(text.data[0]) && text.data[text.len - 1] != '-' &&
           all_of(text, "-");
}

/* domain/path, where path has the characters of a URI path. */
static bool is_domain_path(struct text text)
{
    size_t slash = text_find(text, '/', 0);
    return slash + 1 < text.len && is_subdomain(text_slice(text, 0, slash)) &&
           all_of(text_slice(text, slash + 1, text.len), "/-._~%!$&'()*+,;=:");
}

static bool is_token(struct text text)
{
    return text.len > 0 && all_of(text, "!#$%&'*+-.^_`|~");
}

/* [!-~]+([\t ]?[!-~]+)* : visible characters, single blanks between. */
static bool is_field_value(struct text text)
{
    bool blank_allowed = false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_blank = text.data[i] == ' ' || text.data[i] == '\t';
        if (is_blank ? !blank_allowed : text.data[i] < '!' || text.data[i] > '~')
            return false;
        blank_allowed = !is_blank;
    }
    return blank_allowed;
}

/* Of RFC 9110 5.5, all but what could end the field: the standard channel's schema says nothing. */
static bool is_field_content(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

static bool is_hex(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

static bool is_clean_path(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        if (byte == '%') {
            if (i + 2 >= text.len || !is_hex(text.data[i + 1]) || !is_hex(text.data[i + 2]))
                return false;
        } else if (!is_alnum(byte) &&
                   (byte == '\0' || strchr("-/._~!$&'()*+,;=:@", byte) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

static bool is_protocol(struct text text)
{
    size_t slash = text_find(text, '/', 0);
    if (slash < text.len)
        return is_subdomain(text_slice(text, 0, slash)) && slash + 1 < text.len &&
               all_of(text_slice(text, slash + 1, text.len), "");
    return text.len > 0 && all_of(text, "-") && text.data[0] != '-' &&
           text.data[text.len - 1] != '-';
}

/* The last part of a label key: begins and ends with a letter or digit, at most 63. */
static bool is_qualified_name(struct text text)
{
    return text.len > 0 && text.len <= 63 && is_alnum(text.data[0]) &&
           is_alnum(text.data[text.len - 1]) && all_of(text, "-_.");
}

static bool is_label_key(struct text text)
{
    size_t slash = text_find(text, '/', 0);
    if (slash == text.len)
        return is_qualified_name(text);
    return is_subdomain(text_slice(text, 0, slash)) &&
           is_qualified_name(text_slice(text, slash + 1, text.len));
}

/* Kubernetes looks at annotations' keys in lower case. */
static bool is_annotation_key(struct text text)
{
    char lower[317];
    if (text.len > sizeof(lower))
        return false;
    for (size_t i = 0; i < text.len; i++)
        lower[i] = (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] + ('a' - 'A')
                                                                     : text.data[i]);
    return is_label_key(text_from(lower, text.len));
}

static bool is_data_key(struct text text)
{
    return text.len > 0 && all_of(text, "-._") && !text_is(text, ".") && !text_is(text, "..");
}

/* *, or scheme://host[:port] where the host may be * or open with "*." */
static bool is_origin(struct text text)
{
    if (text_is(text, "*"))
        return true;
    if (text_starts_with(text, TEXT("http://")))
        text = text_slice(text, 7, text.len);
    else if (text_starts_with(text, TEXT("https://")))
        text = text_slice(text, 8, text.len);
    else
        return false;
    size_t colon = text_find(text, ':', 0);
    struct text host = text_slice(text, 0, colon), port = text_slice(text, colon + 1, text.len);
    uint64_t number;
    if (colon < text.len && (port.len > 5 || !text_to_u64(port, &number)))
        return false;
    if (text_is(host, "*"))
        return true;
    if (text_starts_with(host, TEXT("*.")))
        host = text_slice(host, 2, host.len);
    struct text label = TEXT_NONE;
    bool ok = host.len > 0 && host.data[host.len - 1] != '.';
    while (ok && text_split(&host, '.', &label))
        ok = label.len > 0 && all_of(label, "-");
    return ok;
}

/* scheme://authority..., at least. */
static bool is_uri(struct text text)
{
    size_t colon = text_find(text, ':', 0);
    for (size_t i = 0; i < colon; i++)
        if (strchr("/?#", text.data[i]) != NULL)
            return false;
    return colon > 0 && text_starts_with(text_slice(text, colon + 1, text.len), TEXT("//"));
}

static bool is_well_known_ca(struct text text)
{
    return text_is(text, "System") || (text_find(text, '/', 0) < text.len && is_label_key(text));
}

static bool is_address_type(struct text text)
{
    return is_domain_path(text);
}

static bool parses_as(int family, struct text text)
{
    char copy[INET6_ADDRSTRLEN + 1];
    unsigned char address[16];
    if (text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, address) == 1;
}

bool format_is_method(struct text text)
{
    static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                          "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (text_is(text, methods[i]))
            return true;
    return false;
}

static bool is_method_or_star(struct text text)
{
    return text_is(text, "*") || format_is_method(text);
}

bool format_is_ip(struct text text)
{
    return text.len > 0 && (parses_as(AF_INET, text) || parses_as(AF_INET6, text));
}

static bool is_cidr(struct text text)
{
    size_t slash = text_find(text, '/', 0);
    struct text address = text_slice(text, 0, slash);
    uint64_t bits = 0;
    if (address.len == 0 ||
        (slash < text.len && !text_to_u64(text_slice(text, slash + 1, text.len), &bits)))
        return false;
    return (parses_as(AF_INET, address) && bits <= 32) ||
           (parses_as(AF_INET6, address) && bits <= 128);
}

/* [A-Za-z_][A-Za-z_0-9]* */
bool format_is_grpc_method(struct text text)
{
    return text.len > 0 && !is_digit(text.data[0]) && all_of(text, "_");
}

bool format_is_grpc_service(struct text text)
{
    struct text part;
    if (text_starts_with(text, TEXT(".")))
        text = text_slice(text, 1, text.len);
    if (text.len == 0 || text.data[text.len - 1] == '.')
        return false;
    while (text_split(&text, '.', &part))
        if (!format_is_grpc_method(part))
            return false;
    return true;
}

static bool is_transport(struct text text)
{
    return text_is(text, "TCP") || text_is(text, "UDP") || text_is(text, "SCTP");
}

static bool is_service_type(struct text text)
{
    return text_is(text, "ClusterIP") || text_is(text, "NodePort") ||
           text_is(text, "LoadBalancer") || text_is(text, "ExternalName");
}

const struct decode_format format_label = {"lower-case letters, digits and '-', as in my-name",
                                           is_label, 1, 63, NULL};
const struct decode_format format_subdomain = {
    "lower-case letters, digits, '-' and '.', as in my-name", is_subdomain, 1, 253, NULL};
const struct decode_format format_object_name = {"a name", NULL, 1, 253, NULL};
const struct decode_format format_group = {"a domain name, or empty for the core group", is_group,
                                           0, 253, NULL};
const struct decode_format format_kind = {"a kind like HTTPRoute", is_kind, 1, 63, NULL};
const struct decode_format format_hostname = {
    "a DNS name in lower case like shop.example.com or *.example.com", is_hostname, 1, 253, NULL};
const struct decode_format format_precise_hostname = {
    "a DNS name in lower case like shop.example.com", is_subdomain, 1, 253, NULL};
const struct decode_format format_section = {"lower-case letters, digits, '-' and '.'",
                                             is_subdomain, 1, 253, NULL};
const struct decode_format format_controller = {"a domain and a path like example.com/gateway",
                                                is_domain_path, 1, 253, NULL};
const struct decode_format format_header_name = {"a header name (RFC 9110 token)", is_token, 1, 256,
                                                 NULL};
const struct decode_format format_header_value = {
    "visible ASCII characters with single blanks between", is_field_value, 1, 4096,
    is_field_content};
const struct decode_format format_match_value = {"a value", NULL, 1, 4096, NULL};
const struct decode_format format_method = {
    "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE or PATCH", format_is_method, 1, 16,
    NULL};
const struct decode_format format_cors_method = {
    "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH or *", is_method_or_star, 1, 16,
    NULL};
const struct decode_format format_query_value = {"a value", NULL, 1, 1024, NULL};
const struct decode_format format_path = {"a path", NULL, 0, 1024, NULL};
const struct decode_format format_clean_path = {"a path of URI characters", is_clean_path, 0, 1024,
                                                NULL};
const struct decode_format format_grpc_name = {"a name", NULL, 0, 1024, NULL};
const struct decode_format format_protocol = {"HTTP, HTTPS, TLS, TCP, UDP or like example.com/name",
                                              is_protocol, 1, 255, NULL};
const struct decode_format format_address_type = {
    "IPAddress, Hostname, NamedAddress or like example.com/name", is_address_type, 1, 253, NULL};
const struct decode_format format_address = {"an address", NULL, 0, 253, NULL};
const struct decode_format format_option_key = {"a key like example.com/name", is_label_key, 1, 253,
                                                NULL};
const struct decode_format format_label_key = {"a key like example.com/name", is_label_key, 1, 317,
                                               NULL};
const struct decode_format format_annotation_key = {"a key like example.com/name",
                                                    is_annotation_key, 1, 317, NULL};
const struct decode_format format_data_key = {"letters, digits, '-', '_' and '.'", is_data_key, 1,
                                              253, NULL};
const struct decode_format format_origin = {"* or an origin like https://shop.example.com:8443",
                                            is_origin, 1, 253, NULL};
const struct decode_format format_uri = {"an absolute URI like spiffe://example.com/app", is_uri, 1,
                                         253, NULL};
const struct decode_format format_well_known_ca = {"System, or like example.com/name",
                                                   is_well_known_ca, 1, 253, NULL};
const struct decode_format format_description = {"a description", NULL, 0, 64, NULL};
const struct decode_format format_ip = {"an IP address", format_is_ip, 1, 253, NULL};
const struct decode_format format_cidr = {"an address range like 10.0.0.0/8", is_cidr, 1, 64, NULL};
const struct decode_format format_port_name = {"lower-case letters, digits and '-'", is_label, 0,
                                               63, NULL};
const struct decode_format format_transport = {"TCP, UDP or SCTP", is_transport, 0, 63, NULL};
const struct decode_format format_service_type = {
    "ClusterIP, NodePort, LoadBalancer or ExternalName", is_service_type, 0, 63, NULL};
