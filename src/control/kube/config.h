/* Where the API server is and who we are there: a kubeconfig, or what a pod finds mounted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "net/address.h"

struct kube_config {
    struct arena arena; /* owns all texts */
    struct address address;
    struct text authority;   /* "10.0.0.1:6443", for the Host field */
    struct text server_name; /* that the server's certificate must have */
    struct text prefix;      /* path before "/api", without a '/' at its end; mostly empty */
    bool is_tls, is_insecure;
    struct text ca;               /* PEM; empty: the system's */
    struct text certificate, key; /* PEM, or empty */
    struct text token;            /* or empty */
    const char *token_file;       /* read again and again; NULL: none */
    struct text namespace;        /* ours; "default" if nobody says */
};

/* `context` empty: the current one. NULL, or words why not (in the arena). Host names are looked up
 * here, once. Either way kube_config_fini. */
const char *kube_config_load(struct kube_config *config, const char *path, struct text context);
/* In a pod: the mounted service account and the environment (KUBERNETES_SERVICE_HOST). */
const char *kube_config_in_cluster(struct kube_config *config);
void kube_config_fini(struct kube_config *config);
