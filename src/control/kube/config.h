/* Where the API server is and who we are there: a kubeconfig, or what a pod finds mounted. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "net/address.h"

/* A program that says who we are (client.authentication.k8s.io/v1 and v1beta1): see plugin.h. */
struct kube_plugin {
    struct text api_version;
    const char *const *argv; /* NULL-terminated; argv[0] as it is to be looked for */
    const char *const *env;  /* "NAME=VALUE", NULL-terminated */
    struct text hint;        /* where to get it; may be empty */
    struct text cluster;     /* JSON for spec.cluster; empty: it is not to be told */
    enum kube_plugin_mode { KUBE_PLUGIN_ALONE, KUBE_PLUGIN_EITHER, KUBE_PLUGIN_TERMINAL } mode;
};

struct kube_config {
    struct arena arena;     /* owns all texts */
    struct address address; /* if its host is one; else: */
    const char *host;       /* to be looked up before each connection */
    uint16_t port;
    struct text source;      /* the file, or files, that it was read from, for messages */
    struct text authority;   /* "10.0.0.1:6443", for the Host field */
    struct text server_name; /* that the server's certificate must have */
    struct text prefix;      /* path before "/api", without a '/' at its end; mostly empty */
    bool is_tls, is_insecure;
    struct text ca;                   /* PEM; empty: the system's */
    struct text certificate, key;     /* PEM, or empty */
    struct text token;                /* or empty */
    const char *token_file;           /* read again and again; NULL: none */
    const struct kube_plugin *plugin; /* NULL: none; else it is who says the three above */
    bool has_terminal;                /* a person is there whom a plugin may ask; unset here */
    struct text namespace;            /* ours; "default" if nobody says */
};

/* `context` empty: the current one. NULL, or words why not (in the arena, or static). Either way
 * kube_config_fini. */
const char *kube_config_load(struct kube_config *config, const char *path, struct text context);
/* In a pod: the mounted service account and the environment (KUBERNETES_SERVICE_HOST). */
const char *kube_config_in_cluster(struct kube_config *config);
/* As kubectl: `path` if not NULL, else the files of $KUBECONFIG, else ~/.kube/config, else what a
 * pod finds. */
const char *kube_config_find(struct kube_config *config, const char *path, struct text context);
/* Without a path there is something to find. */
bool kube_config_is_there(void);
void kube_config_fini(struct kube_config *config);
