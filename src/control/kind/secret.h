/* Secret and ConfigMap: named bytes; ClusterTrustBundle: those of authorities. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/common.h"

struct kind_entry {
    struct kind_place place;
    struct text key;
    struct text bytes; /* decoded; may hold any byte, NUL too */
    bool is_invalid;   /* the base64 was wrong; bytes is empty */
};

/* Entries are sorted by key; stringData has won over data, as the API server does it. */
struct kind_secret {
    struct kind_place place;
    struct text type; /* "Opaque" when absent, "kubernetes.io/tls" */
    struct kind_entry *entries;
    size_t entry_count;
};

struct kind_config_map {
    struct kind_place place;
    struct kind_entry *entries; /* data and binaryData */
    size_t entry_count;
};

/* Of certificates.k8s.io, without a namespace. */
struct kind_cluster_trust_bundle {
    struct kind_place place;  /* of spec */
    struct text signer_name;  /* empty: anybody's */
    struct text trust_bundle; /* PEM certificates */
};

/* NULL: no such key. */
const struct kind_entry *kind_secret_get(const struct kind_secret *secret, const char *key);
const struct kind_entry *kind_config_map_get(const struct kind_config_map *map, const char *key);
