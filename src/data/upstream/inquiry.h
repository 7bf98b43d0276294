/* A question of the gateway's own to a service, beside an exchange that waits for the answer: the
 * whole request is at hand, the whole answer is collected. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/upstream/call.h"

struct inquiry_options {
    uint32_t slot;           /* of the backend */
    struct message *request; /* these two last as long as the inquiry */
    struct text body;
    uint32_t timeout_ms; /* for all of it */
    void *owner;
    /* Once, perhaps before inquiry_start returns. */
    void (*on_done)(void *owner);
};

/* Stands in the arena of the exchange that asks; zeroed before inquiry_start. */
struct inquiry {
    struct exchange x; /* its own, under the lease of the one that asks */
    struct route policy;
    struct call call;
    struct timer timer;
    struct inquiry_options options;
    size_t body_sent;
    bool is_done;
    /* When it is done. ERR_NONE: answered; what follows lasts as long as the inquiry. */
    enum err err;
    const char *why; /* static words for a failure */
    struct message head, trailers;
    struct buffer answer; /* the body; more than LIMIT_INQUIRY_ANSWER is ERR_LIMIT */
};

void inquiry_start(struct inquiry *inquiry, const struct exchange *from,
                   const struct inquiry_options *options);
/* Ends it without a further word and gives back what it holds; safe at any time, also twice, also
 * on one that was never started. */
void inquiry_cancel(struct inquiry *inquiry);
