/* Heads of frames found in bytes that come in any pieces. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/macros.h"
#include "http/h2_frames.h"
#include "test.h"

static const char BYTES[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                            "\0\0\0\4\0\0\0\0\0"                /* SETTINGS */
                            "\0\0\3\0\1\0\0\0\5abc"             /* DATA */
                            "\0\0\5\2\0\200\0\0\7\200\0\0\11\3" /* PRIORITY */
                            "\0\0\4\10\0\0\0\0\0\0\0\1\0"       /* WINDOW_UPDATE */
                            "\0\0\2\10\0\0\0\0\1xx"             /* one that is too short */
                            "\0\0\0\11\4\0\0\0\1";              /* CONTINUATION */

static const struct h2_frame WANT[] = {
    {.type = 4},
    {.type = 0, .flags = 1, .id = 5, .len = 3},
    {.type = 2, .id = 7, .len = 5, .word = 9},
    {.type = 8, .len = 4, .word = 256},
    {.type = 8, .id = 1, .len = 2},
    {.type = 9, .flags = 4, .id = 1},
};

/* What is fed on is every byte once, in order. */
static void walk(struct h2_frames *frames, struct text bytes, size_t *count, char *fed,
                 size_t *fed_len)
{
    struct h2_frame frame;
    size_t from = 0, at = 0;
    while (h2_frames_next(frames, bytes, &at, &frame)) {
        const struct h2_frame *want = &WANT[(*count)++];
        assert_true(*count <= ARRAY_LEN(WANT));
        assert_int_equal(frame.type, want->type);
        assert_int_equal(frame.flags, want->flags);
        assert_int_equal(frame.id, want->id);
        assert_int_equal(frame.len, want->len);
        assert_int_equal(frame.word, want->word);
        if (!frame.was_cut)
            continue;
        assert_int_equal(frame.at, from);
        memcpy(fed + *fed_len, frame.head.data, frame.head.len);
        *fed_len += frame.head.len;
        from = at;
    }
    memcpy(fed + *fed_len, bytes.data + from, frame.at - from);
    *fed_len += frame.at - from;
}

static void every_head_is_seen_however_the_bytes_are_cut(void **state)
{
    (void)state;
    const size_t len = sizeof(BYTES) - 1;
    for (size_t piece = 1; piece <= len; piece++) {
        struct h2_frames frames;
        char fed[sizeof(BYTES)];
        size_t count = 0, fed_len = 0;
        h2_frames_init(&frames, true);
        for (size_t at = 0; at < len; at += piece)
            walk(&frames, text_from(BYTES + at, MIN(piece, len - at)), &count, fed, &fed_len);
        assert_int_equal(count, ARRAY_LEN(WANT));
        assert_int_equal(fed_len, len);
        assert_memory_equal(fed, BYTES, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_head_is_seen_however_the_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
