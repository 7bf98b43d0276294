/* Both planes over one directory, as `up` and `demo` start them. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/place.h"
#include "cli/process.h"

struct planes_options {
    const char *directory;
    struct text state_dir;
    const char *proxy_admin;   /* "127.0.0.1:19000" */
    const char *control_admin; /* a TCP address too, or NULL: the Unix socket alone */
    const char *workers;       /* NULL: one a core */
    const char *log_format, *log_level, *access_log, *default_address,
        *drain_ms; /* NULL: default */
};

struct planes {
    struct process items[2];
    struct processes group;
    struct arena arena; /* of the arguments */
};

MUST_USE bool planes_start(struct planes *planes, struct loop *loop,
                           const struct planes_options *options);
void planes_fini(struct planes *planes);
