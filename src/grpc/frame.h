/* gRPC's length-prefixed messages, and its status words. Pure; no I/O. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "grpc/grpc.h"

#define GRPC_FRAME_HEAD 5

enum grpc_frame {
    GRPC_FRAME_PARTIAL,    /* more bytes are needed */
    GRPC_FRAME_WHOLE,      /* *ret_message is a view of the message */
    GRPC_FRAME_COMPRESSED, /* we announce no encoding: UNIMPLEMENTED */
    GRPC_FRAME_LARGE,      /* longer than `max`: RESOURCE_EXHAUSTED */
    GRPC_FRAME_BROKEN,     /* no such flag: INTERNAL */
};

/* Looks at the front of `bytes`. *ret_len: of the whole frame, when its head is there (WHOLE, or
 * PARTIAL with more than nothing known), else 0. */
enum grpc_frame grpc_frame_read(struct text bytes, size_t max, struct text *ret_message,
                                size_t *ret_len);
void grpc_frame_head(unsigned char out[GRPC_FRAME_HEAD], size_t len);

/* grpc-status as sent; UNKNOWN when it is no number that we know. */
enum grpc_status grpc_status_parse(struct text text);
/* What an HTTP answer without grpc-status means (gRPC's http-grpc-status-mapping). */
enum grpc_status grpc_status_of_http(int status);
/* What a broken stream means. */
enum grpc_status grpc_status_of_err(enum err err, bool serving);
/* grpc-message: percent-coded outside of printable ASCII; bad escapes stay as they are. */
struct text grpc_message_escape(struct arena *arena, struct text text);
struct text grpc_message_unescape(struct arena *arena, struct text text);
/* grpc-timeout ("100m", "5S") in milliseconds, rounded up; false: malformed. */
MUST_USE bool grpc_timeout_parse(struct text text, uint64_t *ret_ms);
