/* Where data planes come. The sockets over TCP may have to wait for their certificate, and then for
 * whoever has the port: nothing of what runs already ends for that. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/options.h"
#include "event/loop.h"

struct publish;
struct tls_context;

struct doors {
    struct loop *loop;
    struct publish *publish;       /* borrows */
    const struct options *options; /* borrows */
    struct tls_context *tls;       /* borrows: the last that was shown to us */
    bool is_open[OPTIONS_ADDRESSES];
    struct timer retry; /* armed: some are not open */
    uint32_t failures;
    char why[ADDRESS_TEXT_MAX + 64]; /* empty: all that should be are open */
};

void doors_init(struct doors *doors, struct loop *loop, struct publish *publish,
                const struct options *options);
void doors_fini(struct doors *doors);
/* The Unix sockets. False: the log says why. */
MUST_USE bool doors_open_local(struct doors *doors);
/* Those over TCP, once; then as above. */
MUST_USE bool doors_open(struct doors *doors, struct tls_context *tls);
/* The same, but again and again while it fails; of those that are open, what is shown is replaced.
 */
void doors_certify(struct doors *doors, struct tls_context *tls);
/* "10.0.0.1:18000: the address is in use", while it is tried again; NULL: nothing is wrong. */
const char *doors_why(const struct doors *doors);
