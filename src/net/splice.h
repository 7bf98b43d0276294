/* Bytes from one plain stream to another through the kernel, without a copy in our memory: through
 * a pipe that holds what the sink does not take yet. SIGPIPE must be ignored (event/signals.h): no
 * flag of splice(2) says so. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/limits.h"
#include "net/stream.h"

struct splice_pipe {
    int out, in;   /* -1: none */
    uint32_t held; /* bytes within */
};

/* Empty pipes for the next who needs one; a thread's own. */
struct splice_pool {
    struct splice_pipe free[LIMIT_PIPES_KEPT];
    uint32_t count;
};

void splice_pool_fini(struct splice_pool *pool);
/* False: out of descriptors, or a simulated kernel: copy instead. */
MUST_USE bool splice_take(struct splice_pool *pool, struct io *io, struct splice_pipe *ret_pipe);
/* One that holds bytes is closed. Safe on one that is not there. */
void splice_give(struct splice_pool *pool, struct splice_pipe *pipe);
/* As stream_read and stream_write, with the pipe for a buffer; plain streams only. */
MUST_USE enum err splice_read(struct stream *stream, struct splice_pipe *pipe);
MUST_USE enum err splice_write(struct stream *stream, struct splice_pipe *pipe,
                               uint32_t *ret_taken);
