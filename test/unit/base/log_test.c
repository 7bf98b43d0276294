/* One line a message, valid whatever the fields hold, lost rather than blocking. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/value.h"
#include "test.h"

struct sink {
    int saved, read_end;
};

/* stderr goes into a pipe until `drain`. */
static struct sink capture(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    struct sink sink = {dup(STDERR_FILENO), ends[0]};
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    return sink;
}

static size_t drain(struct sink *sink, char *out, size_t size)
{
    size_t len = 0;
    ssize_t got;
    while (len < size && (got = read(sink->read_end, out + len, size - len)) > 0)
        len += (size_t)got;
    assert_true(dup2(sink->saved, STDERR_FILENO) >= 0);
    close(sink->saved);
    close(sink->read_end);
    return len;
}

static void a_json_line_is_json_whatever_is_in_it(void **state)
{
    (void)state;
    char out[4096];
    struct sink sink = capture();
    log_setup("test", false, LOG_INFO);
    log_warn("two\nlines", log_text("bad", TEXT("\xff\"\n\x01")), log_int("n", INT64_MIN));
    size_t len = drain(&sink, out, sizeof(out));
    assert_true(len > 0 && memchr(out, '\n', len) == out + len - 1);
    struct arena arena;
    struct faults faults;
    struct value *line = NULL;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    assert_true(value_parse_json(text_from(out, len), TEXT("log"), &arena, &line, &faults));
    assert_true(text_is(value_get(line, "level")->string, "warn"));
    assert_true(text_is(value_get(line, "component")->string, "test"));
    assert_true(text_is(value_get(line, "msg")->string, "two\nlines"));
    assert_true(text_is(value_get(line, "bad")->string, "\xef\xbf\xbd\"\n\x01"));
    assert_true(value_get(line, "n")->integer == INT64_MIN);
    faults_fini(&faults);
    arena_fini(&arena);
}

static void a_text_line_shows_its_fields(void **state)
{
    (void)state;
    char out[4096];
    struct sink sink = capture();
    log_setup("test", true, LOG_INFO);
    log_error("it broke", log_str("where", "here\n"), log_int("n", -1));
    log_debug("not at this level", log_int("n", 1));
    size_t len = drain(&sink, out, sizeof(out));
    const char want[] = " error test: it broke  where=here\\n  n=-1\n";
    assert_int_equal(len, 12 + sizeof(want) - 1);
    assert_memory_equal(out + 12, want, sizeof(want) - 1);
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    char out[4096];
    struct sink sink = capture();
    log_setup("test", true, LOG_INFO);
    log_error("it broke", log_place("line", 0), log_place("column", 7), log_str("field", ""),
              log_int("n", 0));
    size_t len = drain(&sink, out, sizeof(out));
    const char want[] = " error test: it broke  column=7  n=0\n";
    assert_int_equal(len, 12 + sizeof(want) - 1);
    assert_memory_equal(out + 12, want, sizeof(want) - 1);
    sink = capture();
    log_setup("test", false, LOG_INFO);
    log_error("it broke", log_place("line", 0), log_place("column", 7));
    len = drain(&sink, out, sizeof(out));
    assert_null(memmem(out, len, "line", 4));
    assert_non_null(memmem(out, len, "\"column\":7}", 11));
}

static void a_stuck_reader_loses_lines_that_are_counted(void **state)
{
    (void)state;
    static char out[1 << 20];
    struct sink sink = capture();
    log_setup("test", false, LOG_INFO);
    uint64_t before = log_dropped();
    for (int i = 0; i < 5000; i++)
        log_info("a line that nobody reads", log_int("i", i));
    size_t len = drain(&sink, out, sizeof(out));
    assert_true(log_dropped() > before);
    assert_int_equal(out[len - 1], '\n'); /* no line was cut */
}

static void a_long_line_is_cut_to_what_a_pipe_takes_at_once(void **state)
{
    (void)state;
    static char out[1 << 20], words[70000];
    memset(words, '"', sizeof(words)); /* each is two bytes in a line */
    for (int as_text = 0; as_text < 2; as_text++) {
        struct sink sink = capture();
        int flags = fcntl(STDERR_FILENO, F_GETFL);
        int room = fcntl(STDERR_FILENO, F_GETPIPE_SZ);
        assert_true(room >= 2 * PIPE_BUF && (size_t)room <= sizeof(out));
        for (int i = PIPE_BUF; i < room; i += PIPE_BUF) /* one page is left */
            assert_int_equal(write(STDERR_FILENO, out, PIPE_BUF), PIPE_BUF);
        assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, flags & ~O_NONBLOCK), 0);
        log_setup("test", as_text, LOG_INFO);
        uint64_t before = log_dropped();
        log_info("long", log_text("words", text_from(words, sizeof(words))), log_int("n", 7));
        assert_true(log_dropped() == before);
        size_t len = drain(&sink, out, sizeof(out)) - (size_t)(room - PIPE_BUF);
        assert_in_range(len, PIPE_BUF / 4, PIPE_BUF);
        const char *line = out + room - PIPE_BUF;
        assert_true(line[len - 1] == '\n');
        assert_true(text_ends_with(text_from(line, len - 1),
                                   as_text ? TEXT("\"  n=7") : TEXT("\",\"n\":7}")));
        memset(out, 0, sizeof(out));
    }
}

static void levels_have_names(void **state)
{
    (void)state;
    enum log_level level = LOG_ERROR;
    assert_true(log_level_parse(TEXT("debug"), &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_level_parse(TEXT("Debug"), &level));
    assert_false(log_level_parse(TEXT(""), &level));
    assert_int_equal(level, LOG_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_is_json_whatever_is_in_it),
        cmocka_unit_test(a_text_line_shows_its_fields),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(a_stuck_reader_loses_lines_that_are_counted),
        cmocka_unit_test(a_long_line_is_cut_to_what_a_pipe_takes_at_once),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
