/* The addresses behind a Service's port: EndpointSlices, an external name, or an annotation. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/service.h"
#include "control/translate/outcome_internal.h"
#include "control/translate/translation.h"

/* One of the Service's endpoints is ready, whatever its port. */
bool endpoints_any_ready(struct translation *t, const struct kind_object *service);

/* Adds the Endpoints resource. `port` is NULL for an ExternalName that lists none. */
void endpoints_add(struct translation *t, const struct kind_object *service,
                   const struct kind_service_port *port, const struct backend_entry *entry,
                   struct piece *piece);
/* The same of a name that the data plane looks up, at the entry's port; empty: none. */
void endpoints_add_name(struct translation *t, struct text host, const struct backend_entry *entry,
                        struct piece *piece);
