/* The YAML of the demo: what a user reads first, so it is commented and standard. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

struct demo_ports {
    uint16_t gateway;
    uint16_t echo[2];
};

/* Writes gateway.yaml and routes.yaml unless they are there, and services.yaml always (its ports
 * are new at each start). False: errno. */
MUST_USE bool demo_files_write(struct text directory, const struct demo_ports *ports);
/* Removes the demo's own temporary tree. */
void demo_files_remove_tree(const char *root);
