/* The certificate by which data planes know the control plane: made by the first replica that finds
 * none, kept in a Secret, the same for all replicas. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/client.h"

#define CREDENTIALS_SECRET "nantian-xds"

struct credentials;

/* Told once, PEM. */
typedef void (*credentials_ready)(void *owner, struct text chain, struct text key);

/* `server_name` is what the certificate is for. Looks until there is one. */
struct credentials *credentials_new(struct loop *loop, struct client *client, struct text namespace,
                                    struct text server_name, credentials_ready on_ready,
                                    void *owner);
void credentials_free(struct credentials *credentials);
void credentials_start(struct credentials *credentials);
