/* The objects of a fleet of data planes, as JSON for a server-side apply. Named and labelled as
 * GEP-1762 and GEP-1867 say. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/gateway_parameters.h"
#include "control/kube/fleet.h"

#define MANIFEST_LABEL_GATEWAY "gateway.networking.k8s.io/gateway-name"
#define MANIFEST_LABEL_CLASS   "gateway.networking.k8s.io/gateway-class-name"
#define MANIFEST_LABEL_FLEET   "gateway.nantian.dev/fleet" /* instead of the Gateway's: its name */
#define MANIFEST_LABEL_NAME    "app.kubernetes.io/name"
#define MANIFEST_LABEL_MANAGER "app.kubernetes.io/managed-by"

struct manifest_options {
    struct text image;       /* of nantian-proxy */
    struct text xds_address; /* "nantian-control.nantian-system.svc:18000" */
    struct text ca;          /* PEM: what the control plane's certificate is signed by */
    struct text server_name; /* in it */
    struct text audience;    /* of the token by which a data plane says who it is */
};

struct manifest {
    struct text path; /* "/apis/apps/v1/namespaces/..." */
    struct text json; /* empty: not wanted; a DELETE of the path takes away what may be there */
};

/* All of them, in the order in which they are applied, in `arena`. False: there is no listener, so
 * there is nothing that a Service could have. */
bool manifest_make(const struct manifest_options *options, struct store *store,
                   const struct fleet *fleet, struct arena *arena,
                   struct manifest ret_manifests[KIND_OVERLAYS]);
/* As manifest_make, to take all of them away; the Service last, so that what is left half done is
 * found again. */
void manifest_unmake(struct text namespace, struct text name, struct arena *arena,
                     struct manifest ret_manifests[KIND_OVERLAYS]);
/* To DELETE what stands at a path, if it is ours. */
struct text manifest_removal(struct text path, struct arena *arena);
