/* Copies of requests for mirrors: sent beside the request, fed with the same body, their answers
 * read and forgotten. A copy never holds up its request: what its backend does not take waits up to
 * LIMIT_MIRROR_BODY, then the copy is given up. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

struct message;
struct proxy;
struct transfer;

/* The request as it stands goes to the backends of x->copies; once, however often it is tried. */
void mirror_begin(struct transfer *t);
/* These bytes of its body went upstream; then its end, with or without trailers. */
void mirror_feed(struct transfer *t, struct text bytes);
void mirror_feed_end(struct transfer *t, const struct message *trailers);
/* The request is over: copies that lack the rest of its body are cut, the others go on alone. */
void mirror_leave(struct transfer *t);
/* The worker ends: all of them, now. */
void mirror_close_all(struct proxy *proxy);
