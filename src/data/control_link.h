/* The way to the control planes: their addresses (names are looked up), TLS, one link. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/options.h"
#include "xds/link.h"

struct control_link;

/* NULL after words in the log: TLS files that cannot be used. `on_link` is told once, when the
 * first address is known; whoever is told starts the link. */
struct control_link *control_link_new(struct loop *loop, const struct options *options, void *owner,
                                      void (*on_link)(void *owner));
void control_link_free(struct control_link *control);
void control_link_start(struct control_link *control);
struct link *control_link_get(const struct control_link *control); /* NULL: not yet */
const char *control_link_why(const struct control_link *control);  /* not yet; static words */
