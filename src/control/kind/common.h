/* What all kinds share: object metadata, references, selectors, and where each was written.
 * Conventions of all kind headers: an empty text is an absent field, arrays are pointer and count,
 * CRD defaults are filled in, each struct that can be wrong opens with its place in the file, and
 * an enum that could not be understood is ..._UNKNOWN beside the raw text. All of it is immutable
 * and lives in the arena of its kind_object. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

#define KIND_GROUP_GATEWAY      "gateway.networking.k8s.io"
#define KIND_GROUP_EXPERIMENTAL "gateway.networking.x-k8s.io"
#define KIND_GROUP_NANTIAN      "gateway.nantian.dev"

/* From 1; line 0: unknown (a default, or an object that came without text). */
struct kind_place {
    uint32_t line, column;
};

struct kind_texts {
    struct text *items;
    size_t count;
};

struct kind_pair {
    struct text key, value;
};

/* On a route: "false" keeps what it serves out of the access log. */
#define KIND_ANNOTATION_ACCESS_LOG "gateway.nantian.dev/access-log-enabled"

/* Labels, annotations, options; sorted by key. */
struct kind_pairs {
    struct kind_pair *items;
    size_t count;
};

struct kind_meta {
    struct kind_place place; /* of metadata.name, else of the object */
    struct text api_version; /* as written: "gateway.networking.k8s.io/v1" */
    struct text kind;        /* "HTTPRoute" */
    struct text namespace;   /* empty: cluster-scoped */
    struct text name;
    struct text uid, resource_version;
    struct text file;   /* empty: not from a file */
    int64_t generation; /* the store counts when the source gives none */
    int64_t created;    /* seconds since 1970; 0: unknown, the store fills it in */
    struct kind_pairs labels, annotations;
};

/* 10s, 1h30m: Gateway API durations (GEP-2257). */
struct kind_duration {
    struct kind_place place;
    bool is_set;
    int64_t ms;
};

/* A reference to an object: secretRef, localObjectRef, parametersRef, caCertificateRef. */
struct kind_ref {
    struct kind_place place;
    struct text group, kind, namespace, name; /* namespace empty: that of the referrer */
};

struct kind_parent_ref {
    struct kind_place place;
    struct text group, kind, namespace, name; /* namespace empty: that of the route */
    struct text section_name;
    int32_t port; /* 0: any */
};

struct kind_filter;

/* A backendRef of any route; also (weight 1, no filters) of a mirror or an external service. */
struct kind_backend_ref {
    struct kind_place place;
    struct text group, kind, namespace, name; /* namespace empty: that of the referrer */
    int32_t port;                             /* 0: absent */
    int32_t weight;
    struct kind_filter *filters; /* HTTPRoute and GRPCRoute only; see kind/filter.h */
    size_t filter_count;
};

/* A policy's target in its own namespace (SecurityPolicy may name another one). */
struct kind_target_ref {
    struct kind_place place;
    struct text group, kind, namespace, name, section_name;
};

enum kind_operator {
    KIND_OPERATOR_UNKNOWN,
    KIND_OPERATOR_IN,
    KIND_OPERATOR_NOT_IN,
    KIND_OPERATOR_EXISTS,
    KIND_OPERATOR_DOES_NOT_EXIST,
};

struct kind_requirement {
    struct kind_place place;
    struct text key;
    enum kind_operator operator;
    struct text operator_text;
    struct kind_texts values;
};

struct kind_selector {
    struct kind_place place;
    struct kind_pairs match_labels;
    struct kind_requirement *expressions;
    size_t expression_count;
};

enum kind_from {
    KIND_FROM_UNKNOWN,
    KIND_FROM_ALL,
    KIND_FROM_SAME,
    KIND_FROM_SELECTOR,
    KIND_FROM_NONE,
};

/* Which namespaces may attach routes or listeners. */
struct kind_namespaces {
    struct kind_place place;
    enum kind_from from;
    struct text from_text;
    struct kind_selector *selector; /* NULL: absent */
};

enum kind_default_scope {
    KIND_DEFAULT_SCOPE_UNKNOWN, /* absent as well */
    KIND_DEFAULT_SCOPE_ALL,
    KIND_DEFAULT_SCOPE_NONE,
};

enum kind_match_type {
    KIND_MATCH_UNKNOWN,
    KIND_MATCH_EXACT,
    KIND_MATCH_PREFIX, /* paths only */
    KIND_MATCH_REGEX,
};

/* A header or query parameter match. */
struct kind_name_match {
    struct kind_place place;
    enum kind_match_type type;
    struct text type_text;
    struct text name, value;
};

enum kind_session_type {
    KIND_SESSION_UNKNOWN,
    KIND_SESSION_COOKIE,
    KIND_SESSION_HEADER,
};

enum kind_lifetime {
    KIND_LIFETIME_UNKNOWN,
    KIND_LIFETIME_SESSION, /* when absent */
    KIND_LIFETIME_PERMANENT,
};

struct kind_session_persistence {
    struct kind_place place;
    enum kind_session_type type;
    struct text type_text;
    struct kind_duration absolute_timeout, idle_timeout; /* idle: BackendLBPolicy only */
    struct text cookie_name;                             /* empty: made up */
    struct text cookie_path;                             /* "/" when absent */
    enum kind_lifetime lifetime;
    struct text header_name; /* empty: made up (BackendLBPolicy only) */
};

/* What every route opens with. */
struct kind_parents {
    struct kind_parent_ref *items;
    size_t count;
    enum kind_default_scope use_default_gateways;
};

/* The value, or an empty text with data NULL when the key is absent. */
struct text kind_pairs_get(const struct kind_pairs *pairs, const char *key);
bool kind_pairs_has(const struct kind_pairs *pairs, struct text key);
/* A NULL or empty selector matches everything, as in Kubernetes (metav1.LabelSelector). */
bool kind_selector_matches(const struct kind_selector *selector, const struct kind_pairs *labels);
