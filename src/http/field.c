/* What the name of a field allows, the same for HTTP/1 and HTTP/2. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/field.h"

bool field_is_alias(struct text name)
{
    static const char *const prefixes[] = {"x-forwarded-", "x-nantian-", "x-envoy-", "x-original-",
                                           "x-real-",      "x-client-",  "x-ssl-"};
    char plain[64];
    if (name.len > sizeof(plain) || text_find(name, '_', 0) == name.len)
        return false;
    for (size_t i = 0; i < name.len; i++)
        plain[i] = name.data[i] == '_' ? '-' : name.data[i];
    struct text text = text_from(plain, name.len);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (text_equal_nocase(text_slice(text, 0, strlen(prefixes[i])), text_of(prefixes[i])))
            return true;
    switch (name_lookup(text)) {
    case NAME_AUTHORIZATION:
    case NAME_CONNECTION:
    case NAME_CONTENT_LENGTH:
    case NAME_COOKIE:
    case NAME_EXPECT:
    case NAME_FORWARDED:
    case NAME_HOST:
    case NAME_HTTP2_SETTINGS:
    case NAME_KEEP_ALIVE:
    case NAME_PROXY_AUTHORIZATION:
    case NAME_PROXY_CONNECTION:
    case NAME_TE:
    case NAME_TRAILER:
    case NAME_TRANSFER_ENCODING:
    case NAME_UPGRADE:
    case NAME_VIA:
    case NAME_X_REQUEST_ID:
        return true;
    default:
        return false;
    }
}

bool field_is_of_gateways(enum name_id id, struct text name)
{
    static const char *const prefixes[] = {"x-forwarded-", "x-envoy-", "x-nantian-"};
    if (id != NAME_OTHER)
        return id == NAME_FORWARDED || id == NAME_X_REAL_IP;
    if (LIKELY(name.len < 2 || name.data[1] != '-')) /* most names are told by one byte */
        return false;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (text_equal_nocase(text_slice(name, 0, strlen(prefixes[i])), text_of(prefixes[i])))
            return true;
    return false;
}

bool field_may_trail(enum name_id id, struct text name)
{
    static const char *const others[] = {"cache-control",
                                         "max-forwards",
                                         "range",
                                         "if-match",
                                         "if-none-match",
                                         "if-modified-since",
                                         "if-unmodified-since",
                                         "if-range",
                                         "age",
                                         "expires",
                                         "vary",
                                         "www-authenticate",
                                         "pragma",
                                         "x-http-method-override"};
    switch (id) {
    case NAME_OTHER:
        break;
    case NAME_GRPC_STATUS:
    case NAME_GRPC_MESSAGE:
    case NAME_DATE:
    case NAME_SERVER:
        return true;
    default:
        return false;
    }
    if (text_equal_nocase(text_slice(name, 0, 8), TEXT("content-")) ||
        field_is_of_gateways(id, name))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (text_equal_nocase(name, text_of(others[i])))
            return false;
    return true;
}
