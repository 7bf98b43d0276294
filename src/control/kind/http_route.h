/* HTTPRoute: parents, hostnames, and rules of matches, filters and backends. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"
#include "control/kind/filter.h"

struct kind_http_match {
    struct kind_place place;
    struct kind_place path_place;
    enum kind_match_type path_type; /* PathPrefix when absent */
    struct text path_type_text;
    struct text path; /* "/" when absent */
    struct kind_name_match *headers;
    size_t header_count;
    struct kind_name_match *query_params;
    size_t query_param_count;
    struct text method; /* one of the nine names, or empty: any */
};

struct kind_retry {
    struct kind_place place;
    int32_t *codes;
    size_t code_count;
    bool has_attempts;
    int32_t attempts; /* 1 when absent */
    struct kind_duration backoff;
};

struct kind_http_rule {
    struct kind_place place;
    struct text name;
    struct kind_http_match *matches; /* never empty: the default is the prefix "/" */
    size_t match_count;
    struct kind_filter *filters;
    size_t filter_count;
    struct kind_backend_ref *backends;
    size_t backend_count;
    struct kind_duration request_timeout, backend_request_timeout; /* 0 ms: none */
    struct kind_retry *retry;                                      /* NULL: absent */
    struct kind_session_persistence *session;                      /* NULL: absent */
};

struct kind_http_route {
    struct kind_place place; /* of spec */
    struct kind_parents parents;
    struct kind_texts hostnames;
    struct kind_http_rule *rules; /* never empty: the default is one with the prefix "/" */
    size_t rule_count;
};
