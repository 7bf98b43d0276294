/* kubeconfig files (v1), several as one. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kube/config.h"

/* Of what several files say, the first counts: of a context, cluster or user of one name as a
 * whole, and of current-context. Paths in a file start at its directory. `context` empty: the
 * current one. NULL, or words why not: which file, what, what to do. */
const char *kubeconfig_read(struct kube_config *config, const char *const *paths, size_t count,
                            struct text context);
/* "https://HOST[:PORT][/PREFIX]" into the config. NULL, or words why not. */
const char *kubeconfig_server(struct kube_config *config, struct text url);
