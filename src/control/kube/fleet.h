/* A fleet: the data planes that are provisioned together, for one Gateway or, where its class says
 * so, for all Gateways of a class. Pure. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

struct fleet {
    struct text path;                /* what they say they are: "namespace/name" or "/class" */
    struct text namespace, name;     /* of their objects; the service account proves the path */
    struct text class_name;          /* of the GatewayClass */
    struct text class_label;         /* the same, or "class-<name>-<digest>" if that is too long */
    const struct kind_object *owner; /* the Gateway or GatewayClass: they go with it */
    /* Whose listeners they have; of one Gateway: the owner. */
    const struct kind_object **gateways;
    size_t gateway_count;
};

static inline bool fleet_is_shared(const struct fleet *fleet)
{
    return fleet->path.data[0] == '/';
}

/* Named "<gateway>-<class>" (GEP-1762) as a DNS label of at most 63 bytes; what does not fit
 * becomes a digest. All in `arena`. */
struct fleet fleet_of_gateway(const struct kind_object *gateway, struct arena *arena);
/* With room for all Gateways there are in `gateways`, and none in it yet. False: those of this
 * class have a fleet each. Named "fleet-<class>-<digest>", so that no Gateway's is called the same.
 */
bool fleet_of_class(struct store *store, const struct kind_object *class, struct arena *arena,
                    struct fleet *ret_fleet);
