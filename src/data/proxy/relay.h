/* One way of a connection that is carried as bytes: read only while the other side takes. Plain to
 * plain goes through a pipe in the kernel, anything else through a buffer. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/splice.h"

struct relay {
    struct stream *from, *to; /* borrow */
    struct splice_pool *pool; /* borrows */
    struct splice_pipe pipe;
    struct buffer bytes; /* goes out before what is in the pipe */
    uint64_t moved;
    bool ended;  /* `from` has told its end, or broke */
    bool broken; /* it broke */
    bool told;   /* `to` got the end, behind all bytes */
    bool lost;   /* `to` takes nothing any more */
    bool done;   /* the end was passed on, or never can be */
};

void relay_init(struct relay *relay, struct stream *from, struct stream *to,
                struct splice_pool *pool);
void relay_fini(struct relay *relay);
/* Moves what there is, within bounds; the rest in the loop's next turn. Both streams are up. */
void relay_move(struct relay *relay);
