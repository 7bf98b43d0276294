/* The certificate by which data planes know the control plane. An authority of our own is made by
 * the first replica that finds none and is kept in a Secret, the same for all replicas; each
 * replica has a certificate of its own by it, and makes another one in time. Who trusts the
 * authority notices nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"

#define CREDENTIALS_SECRET "nantian-xds"

struct credentials;

/* PEM. `authority` and `secret` stay the same; `secret` is the authority's key. */
struct credentials_issued {
    struct text authority, chain, key, secret;
};

/* Told whenever there is another certificate. */
typedef void (*credentials_ready)(void *owner, const struct credentials_issued *issued);

struct credentials_options {
    struct loop *loop;
    struct client *client;
    struct text namespace;
    struct text server_name; /* what the certificate is for */
    uint32_t life_s;         /* of a certificate; it is replaced at two thirds; 0: as usual */
    credentials_ready on_ready;
    void *owner;
};

/* Looks until there is a Secret. */
struct credentials *credentials_new(const struct credentials_options *options);
void credentials_free(struct credentials *credentials);
void credentials_start(struct credentials *credentials);
