/* gRPC's framing and words: a frame read in two pieces is the frame read whole, messages survive
 * their escaping, timeouts are numbers or refused. The first byte says where to cut. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "grpc/frame.h"

#define MESSAGE_MAX 4096

static void check_frames(struct text bytes, size_t cut)
{
    struct text whole = TEXT_NONE, part = TEXT_NONE;
    size_t whole_len = 0, part_len = 0;
    enum grpc_frame kind = grpc_frame_read(bytes, MESSAGE_MAX, &whole, &whole_len);
    enum grpc_frame early =
        grpc_frame_read(text_slice(bytes, 0, cut), MESSAGE_MAX, &part, &part_len);
    CHECK(early == kind || early == GRPC_FRAME_PARTIAL);
    CHECK(part_len == 0 || part_len == whole_len);
    if (kind != GRPC_FRAME_WHOLE)
        return;
    CHECK(whole_len == GRPC_FRAME_HEAD + whole.len && whole_len <= bytes.len);
    CHECK(whole.len <= MESSAGE_MAX);
    unsigned char head[GRPC_FRAME_HEAD];
    grpc_frame_head(head, whole.len);
    CHECK(memcmp(head, bytes.data, sizeof(head)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct text bytes = text_from((const char *)data + 1, size - 1);
    struct arena arena;
    uint64_t ms;
    arena_init(&arena, 0);
    check_frames(bytes, data[0] * bytes.len / 256);
    struct text escaped = grpc_message_escape(&arena, bytes);
    for (size_t i = 0; i < escaped.len; i++)
        CHECK(escaped.data[i] >= ' ' && (unsigned char)escaped.data[i] < 0x7f);
    CHECK(text_equal(grpc_message_unescape(&arena, escaped), bytes));
    CHECK(grpc_message_unescape(&arena, bytes).len <= bytes.len);
    if (grpc_timeout_parse(bytes, &ms))
        CHECK(bytes.len >= 2 && bytes.len <= 9);
    (void)grpc_status_parse(bytes);
    arena_fini(&arena);
    return 0;
}
