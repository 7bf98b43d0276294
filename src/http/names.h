/* Known field names as small integers, found by a perfect hash while a head is read. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

#define NAME_LIST(X)                                                                               \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers")                            \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method")                              \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(FORWARDED, "forwarded")                                                                      \
    X(GRPC_STATUS, "grpc-status")                                                                  \
    X(GRPC_MESSAGE, "grpc-message")                                                                \
    X(GRPC_TIMEOUT, "grpc-timeout")                                                                \
    X(HOST, "host")                                                                                \
    X(HTTP2_SETTINGS, "http2-settings")                                                            \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(LOCATION, "location")                                                                        \
    X(ORIGIN, "origin")                                                                            \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(SERVER, "server")                                                                            \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(TE, "te")                                                                                    \
    X(TRACEPARENT, "traceparent")                                                                  \
    X(TRAILER, "trailer")                                                                          \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(UPGRADE, "upgrade")                                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(VIA, "via")                                                                                  \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_REAL_IP, "x-real-ip")                                                                      \
    X(X_REQUEST_ID, "x-request-id")

#define NAME_ENUM(id, text) NAME_##id,
enum name_id { NAME_OTHER, NAME_LIST(NAME_ENUM) NAME_COUNT };
#undef NAME_ENUM

enum name_id name_lookup(struct text name); /* any case */
struct text name_text(enum name_id id);     /* lower case */
