/* HTTP/2 frames and heads that must be refused: what refuses one stream leaves the others alone,
 * what breaks the connection is told by the right code, floods end in ENHANCE_YOUR_CALM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/ioctl.h>

#include "http/h2_raw_say.h"

#define GOOD RAW_END | RAW_END_HEADERS

/* ---- one bad stream ---- */

struct row {
    const char *id;
    struct raw_field fields[8];
    bool body; /* END_STREAM is left out */
};

#define METHOD    RAW_FIELD(":method", "GET")
#define POST      RAW_FIELD(":method", "POST")
#define SCHEME    RAW_FIELD(":scheme", "http")
#define PATH      RAW_FIELD(":path", "/")
#define AUTHORITY RAW_FIELD(":authority", "a")
#define START     METHOD, SCHEME, PATH, AUTHORITY

static const struct row ROWS[] = {
    {"P01", {START, RAW_FIELD("X-Upper", "1")}, false},
    {"P02", {START, RAW_FIELD("connection", "keep-alive")}, false},
    {"P02b", {START, RAW_FIELD("proxy-connection", "close")}, false},
    {"P02c", {START, RAW_FIELD("upgrade", "h2c")}, false},
    {"P03", {START, RAW_FIELD("transfer-encoding", "chunked")}, true},
    {"P04", {START, RAW_FIELD("te", "gzip")}, false},
    {"P06", {START, RAW_FIELD("content-length", "5")}, false},
    {"P09", {START, RAW_FIELD("content-length", "5"), RAW_FIELD("content-length", "6")}, true},
    {"P09b", {START, RAW_FIELD("content-length", "5"), RAW_FIELD("content-length", "5")}, true},
    {"P10", {START, RAW_FIELD("content-length", "+3")}, true},
    {"P10b", {START, RAW_FIELD("content-length", "")}, true},
    {"P10c", {START, RAW_FIELD("content-length", "18446744073709551616")}, true},
    {"P11", {START, RAW_FIELD("a:b", "1")}, false},
    {"P12", {START, RAW_FIELD("", "1")}, false},
    {"P13", {START, RAW_FIELD("x", "1\r\n\r\nGET /evil HTTP/1.1")}, false},
    {"P14", {START, RAW_FIELD("x", "1\n2")}, false},
    {"P14b", {START, RAW_FIELD("x", "1\r2")}, false},
    {"P15", {START, RAW_FIELD("x", "1\0002")}, false},
    {"P16", {START, RAW_FIELD("x", " 1")}, false},
    {"P16b", {START, RAW_FIELD("x", "1\t")}, false},
    {"P17", {START, RAW_FIELD("a b", "1")}, false},
    {"P18", {METHOD, SCHEME, RAW_FIELD(":path", ""), AUTHORITY}, false},
    {"P19", {METHOD, SCHEME, RAW_FIELD(":path", "evil"), AUTHORITY}, false},
    {"P20", {METHOD, SCHEME, RAW_FIELD(":path", "/ HTTP/1.1\r\nx: y"), AUTHORITY}, false},
    {"P20b", {METHOD, SCHEME, RAW_FIELD(":path", "/ HTTP/1.1"), AUTHORITY}, false},
    {"P20c", {METHOD, SCHEME, RAW_FIELD(":path", "http://evil/"), AUTHORITY}, false},
    {"P21", {METHOD, SCHEME, RAW_FIELD(":path", "*"), AUTHORITY}, false},
    {"P22", {RAW_FIELD(":method", "GET / HTTP/1.1"), SCHEME, PATH, AUTHORITY}, false},
    {"P22b", {RAW_FIELD(":method", ""), SCHEME, PATH, AUTHORITY}, false},
    {"P23", {METHOD, RAW_FIELD(":scheme", "http://b/?"), PATH, AUTHORITY}, false},
    {"P24", {METHOD, SCHEME, PATH, RAW_FIELD(":authority", "a/b@c")}, false},
    {"P24b", {METHOD, SCHEME, PATH, RAW_FIELD(":authority", "user@a")}, false},
    {"P24c", {METHOD, SCHEME, PATH, RAW_FIELD(":authority", "")}, false},
    {"P25", {START, RAW_FIELD("host", "b")}, false},
    {"P25b", {START, RAW_FIELD("host", "a"), RAW_FIELD("host", "a")}, false},
    {"P25c", {METHOD, SCHEME, PATH}, false},
    {"P26", {START, PATH}, false},
    {"P27", {METHOD, SCHEME, PATH, RAW_FIELD("x", "1"), AUTHORITY}, false},
    {"P28", {START, RAW_FIELD(":foo", "1")}, false},
    {"P29", {START, RAW_FIELD(":status", "200")}, false},
    {"P30", {SCHEME, PATH, AUTHORITY}, false},
    {"P31", {METHOD, PATH, AUTHORITY}, false},
    {"P32", {METHOD, SCHEME, AUTHORITY}, false},
    {"P36", {RAW_FIELD(":method", "CONNECT"), PATH, AUTHORITY}, false},
    {"P37",
     {RAW_FIELD(":method", "CONNECT"), SCHEME, PATH, AUTHORITY,
      RAW_FIELD(":protocol", "websocket")},
     true},
    {"P70", {START, RAW_FIELD("transfer_encoding", "chunked")}, false},
    {"P70b", {START, RAW_FIELD("x_forwarded_for", "10.0.0.1")}, false},
    {"P70c", {START, RAW_FIELD("content_length", "3")}, false},
};

static void a_bad_head_is_refused_and_the_next_request_is_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const struct row *row = &ROWS[i];
        size_t count = 0;
        while (count < 8 && row->fields[count].name.data != NULL)
            count++;
        struct raw *raw = raw_new();
        raw_preface(raw);
        raw_head(raw, 1, (uint8_t)(RAW_END_HEADERS | (row->body ? 0 : RAW_END)), row->fields,
                 count);
        raw_get(raw, 3, GOOD, "/next");
        RAW_UNTIL(raw, raw_is_answered(raw, 3) || raw->closed);
        if (raw->closed || !raw_is_refused(raw, 1) || raw->heads != 1 || raw->refused != 1)
            fail_msg("%s: closed %d, refused %d (%u, %s), heads %u", row->id, raw->closed,
                     raw_is_refused(raw, 1), raw->refused, raw->reason, raw->heads);
        assert_string_equal(raw->path, "/next");
        raw_free(raw);
    }
}

static void a_good_head_is_taken_in_its_normal_form(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    const struct raw_field fields[] = {
        METHOD,
        RAW_FIELD(":scheme", "https"),
        RAW_FIELD(":path", "/a/./b/../%63?q=1"),
        RAW_FIELD(":authority", "Shop.Example:8080"),
        RAW_FIELD("host", "shop.example:8080"),
        RAW_FIELD("te", "trailers"),
        RAW_FIELD("cookie", "a=1"),
        RAW_FIELD("x", "\xff ok"),
        RAW_FIELD("cookie", "b=2"),
        RAW_FIELD("cookie", ""),
        RAW_FIELD("my_name", "passes"),
    };
    raw_preface(raw);
    raw_head(raw, 1, GOOD, fields, ARRAY_LEN(fields));
    RAW_UNTIL(raw, raw_is_answered(raw, 1));
    assert_string_equal(raw->path, "/a/c");
    assert_string_equal(raw->host, "shop.example");
    assert_string_equal(raw->cookie, "a=1; b=2");
    raw_free(raw);
}

/* P07, P08, P33 to P35: what comes behind a good head. */
static void a_body_that_breaks_its_promise_resets_its_stream(void **state)
{
    (void)state;
    const struct raw_field head[] = {POST, SCHEME, PATH, AUTHORITY,
                                     RAW_FIELD("content-length", "5")};
    const struct raw_field pseudo[] = {RAW_FIELD(":path", "/evil")};
    const struct raw_field length[] = {RAW_FIELD("content-length", "5")};
    const struct raw_field fine[] = {RAW_FIELD("x-sum", "1")};
    for (int i = 0; i < 6; i++) {
        struct raw *raw = raw_new();
        raw_preface(raw);
        raw_head(raw, 1, RAW_END_HEADERS, head, 5);
        if (i == 0)
            raw_frame(raw, RAW_DATA, RAW_END, 1, TEXT("123"));
        if (i == 1)
            raw_frame(raw, RAW_DATA, 0, 1, TEXT("1234567"));
        if (i >= 2)
            raw_frame(raw, RAW_DATA, 0, 1, i == 5 ? TEXT("123") : TEXT("12345"));
        if (i == 2)
            raw_head(raw, 1, GOOD, pseudo, 1);
        if (i == 3)
            raw_head(raw, 1, RAW_END_HEADERS, fine, 1); /* no END_STREAM */
        if (i == 4)
            raw_head(raw, 1, GOOD, length, 1);
        if (i == 5)
            raw_head(raw, 1, GOOD, fine, 1); /* short before trailers */
        raw_get(raw, 3, GOOD, "/next");
        RAW_UNTIL(raw, raw_is_answered(raw, 3) || raw->closed);
        const struct raw_frame *reset = raw_find(raw, RAW_RESET, 1);
        if (raw->closed || reset == NULL || reset->code != 1 || raw_is_answered(raw, 1))
            fail_msg("case %d: reset %d, aborts %u", i, reset != NULL, raw->aborts);
        raw_free(raw);
    }
}

static void trailers_and_padding_of_an_honest_request_pass(void **state)
{
    (void)state;
    const struct raw_field head[] = {POST,
                                     SCHEME,
                                     PATH,
                                     AUTHORITY,
                                     RAW_FIELD("content-length", "5"),
                                     RAW_FIELD("expect", "100-continue")};
    const struct raw_field fine[] = {RAW_FIELD("x-sum", "1")};
    struct raw *raw = raw_new();
    raw_preface(raw);
    raw_head(raw, 1, RAW_END_HEADERS, head, 6);
    raw_frame(raw, RAW_DATA, RAW_PADDED, 1, TEXT("\00312345\0\0\0"));
    raw_head(raw, 1, GOOD, fine, 1);
    RAW_UNTIL(raw, raw_is_answered(raw, 1));
    assert_int_equal(raw->body_bytes, 5);
    assert_true(raw->got_expect);
    assert_int_equal(raw->aborts, 0);
    raw_free(raw);
}

/* ---- a bad connection ---- */

static void expect_goaway(struct raw *raw, uint32_t code, const char *row)
{
    RAW_UNTIL(raw, raw->closed);
    const struct raw_frame *goaway = raw_find(raw, RAW_GOAWAY, 0);
    if (goaway == NULL || goaway->code != code)
        fail_msg("%s: GOAWAY %d, code %u instead of %u (%s)", row, goaway != NULL,
                 goaway == NULL ? 0 : goaway->code, code, raw->why == NULL ? "" : raw->why);
    assert_int_equal(raw_count(raw, RAW_GOAWAY, code), 1);
    RAW_UNTIL(raw, raw->connection == NULL);
    assert_true(raw->closed_err == ERR_PROTOCOL || raw->closed_err == ERR_LIMIT);
    assert_non_null(raw->why);
}

/* RFC 9113 5.1: the peer itself ended the stream; and PRIORITY that names none (6.3). */
static void say_on_ended_streams(struct raw *raw, int i)
{
    raw->hold = i == 0;
    if (i < 2)
        raw_get(raw, 1, GOOD, "/");
    else if (i < 4)
        raw_get(raw, 1, RAW_END_HEADERS, "/");
    if (i == 1 || i == 2)
        RAW_UNTIL(raw, raw->heads == 1);
    if (i == 1)
        RAW_UNTIL(raw, raw->ended_streams == 1);
    if (i == 2 || i == 3)
        raw_frame32(raw, RAW_RESET, 1, 8);
    if (i == 0 || i == 2)
        raw_frame(raw, RAW_DATA, 0, 1, TEXT("x"));
    else if (i == 1 || i == 3)
        raw_get(raw, 1, GOOD, "/");
    else
        raw_frame(raw, RAW_PRIORITY, 0, i == 4 ? 0 : 3, TEXT("\0\0\0\3\20"));
}

static void say_broken_frames(struct raw *raw, int i)
{
    static const char many[20000] = {0};
    switch (i) {
    case 0: /* P38 */
        raw_frame(raw, RAW_DATA, 0, 5, TEXT("x"));
        break;
    case 1: /* P39 */
        raw_get(raw, 2, GOOD, "/");
        break;
    case 2: /* P40 */
        raw_get(raw, 5, GOOD, "/");
        raw_get(raw, 3, GOOD, "/");
        break;
    case 3: /* P41 */
        raw_frame(raw, RAW_CONTINUATION, RAW_END_HEADERS, 1, TEXT_NONE);
        break;
    case 4: /* P42 */
        raw_get(raw, 1, RAW_END, "/");
        raw_frame(raw, RAW_PING, 0, 0, TEXT("12345678"));
        break;
    case 5: /* P46 */
        raw_frame(raw, RAW_HEADERS, GOOD, 1, TEXT("\xff\x80\xff\x01"));
        break;
    case 6: /* P47 */
        raw_frame(raw, RAW_HEADERS, GOOD, 1, TEXT("\x3f\xe2\xff\x03\x82"));
        break;
    case 7: /* P48 */
        raw_frame(raw, RAW_HEADERS, GOOD, 1,
                  TEXT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
        break;
    case 8: /* P49 */
        raw_get(raw, 1, RAW_END_HEADERS, "/");
        raw_frame(raw, RAW_DATA, 0, 1, text_from(many, sizeof(many)));
        break;
    case 9: /* P50 */
        raw_frame(raw, RAW_SETTINGS, 0, 0, TEXT("12345"));
        break;
    case 10: /* P51 */
        raw_frame(raw, RAW_SETTINGS, RAW_ACK, 0, TEXT("123456"));
        break;
    case 11: /* P52 */
        raw_setting(raw, 4, 1u << 31);
        break;
    case 12: /* P53 */
        raw_setting(raw, 5, 100);
        break;
    case 13: /* P54 */
        raw_frame32(raw, RAW_WINDOW, 0, 0);
        break;
    case 14: /* P55 */
        raw_frame32(raw, RAW_WINDOW, 0, 0x7fffffff);
        break;
    case 15: /* P56 */
        raw_frame32(raw, RAW_RESET, 9, 8);
        break;
    case 16: /* P64 */
        raw_get(raw, 1, RAW_END_HEADERS, "/");
        raw_frame(raw, RAW_DATA, RAW_PADDED, 1, TEXT("\011ab"));
        break;
    case 17: /* P65 */
        raw_get(raw, 1, RAW_END_HEADERS, "/");
        raw_frame(raw, RAW_PUSH, RAW_END_HEADERS, 1, TEXT("\0\0\0\2\x82"));
        break;
    default:
        say_on_ended_streams(raw, i - 18);
        break;
    }
}

static void a_broken_frame_ends_the_connection_with_its_code(void **state)
{
    (void)state;
    enum { PROTOCOL = 1, FLOW = 3, CLOSED = 5, SIZE = 6, COMPRESSION = 9 };
    static const struct {
        const char *row;
        uint32_t code;
    } WANT[] = {
        {"P38", PROTOCOL},
        {"P39", PROTOCOL},
        {"P40", PROTOCOL},
        {"P41", PROTOCOL},
        {"P42", PROTOCOL},
        {"P46", COMPRESSION},
        {"P47", COMPRESSION},
        {"P48", COMPRESSION},
        {"P49", SIZE},
        {"P50", SIZE},
        {"P51", SIZE},
        {"P52", FLOW},
        {"P53", PROTOCOL},
        {"P54", PROTOCOL},
        {"P55", FLOW},
        {"P56", PROTOCOL},
        {"P64", PROTOCOL},
        {"P65", PROTOCOL},
        {"DATA behind END_STREAM", CLOSED},
        {"HEADERS behind END_STREAM", CLOSED},
        {"DATA behind RST_STREAM", CLOSED},
        {"HEADERS behind RST_STREAM", CLOSED},
        {"PRIORITY of stream 0", PROTOCOL},
        {"PRIORITY of itself", PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LEN(WANT); i++) {
        struct raw *raw = raw_new();
        raw_preface(raw);
        RAW_UNTIL(raw, raw_find(raw, RAW_SETTINGS, 0) != NULL);
        say_broken_frames(raw, (int)i);
        expect_goaway(raw, WANT[i].code, WANT[i].row);
        raw_free(raw);
    }
}

/* RFC 9113 6.9.1; whole, and cut at each byte. */
static void a_stream_window_that_overflows_ends_that_stream_alone(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 13; cut++) {
        struct raw *raw = raw_new();
        raw_preface(raw);
        raw->hold = true;
        raw_get(raw, 1, GOOD, "/");
        RAW_UNTIL(raw, raw->heads == 1);
        raw_frame32(raw, RAW_WINDOW, 1, 0x7fffffff);
        struct text rest = TEXT("");
        if (cut < 13) {
            raw->out.len -= 13 - cut;
            rest = text_from((const char *)raw->out.data + raw->out.len, 13 - cut);
            RAW_UNTIL(raw, raw->out_at == raw->out.len);
        }
        raw_bytes(raw, rest.data, rest.len);
        RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL);
        assert_int_equal(raw_find(raw, RAW_RESET, 1)->code, 3);
        raw->hold = false;
        raw_get(raw, 3, GOOD, "/");
        RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 3) != NULL);
        assert_null(raw_find(raw, RAW_GOAWAY, 0));
        raw_free(raw);
    }
}

/* P67: more than the window, while nobody takes any of it. */
static void a_body_that_overruns_its_window_ends_in_flow_control_error(void **state)
{
    (void)state;
    static const char FILLING[16384];
    struct raw *raw = raw_new();
    raw->keep_body = true;
    raw_preface(raw);
    raw_get(raw, 1, RAW_END_HEADERS, "/");
    RAW_UNTIL(raw, raw->heads == 1);
    for (size_t sent = 0; sent <= LIMIT_H2_STREAM_WINDOW; sent += sizeof(FILLING))
        raw_frame(raw, RAW_DATA, 0, 1, text_from(FILLING, sizeof(FILLING)));
    RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL || raw_find(raw, RAW_GOAWAY, 0) != NULL);
    const struct raw_frame *reset = raw_find(raw, RAW_RESET, 1);
    assert_int_equal((reset != NULL ? reset : raw_find(raw, RAW_GOAWAY, 0))->code, 3);
    assert_int_equal(raw->body_bytes, 0);
    raw_free(raw);
}

/* P58: what is reset in the breath that opened it reaches nobody. */
static void a_stream_that_overflows_at_once_is_never_seen(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    raw_preface(raw);
    raw_get(raw, 1, RAW_END_HEADERS, "/");
    raw_frame32(raw, RAW_WINDOW, 1, 0x7fffffff);
    RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL);
    assert_int_equal(raw->heads, 0);
    raw_get(raw, 3, GOOD, "/");
    RAW_UNTIL(raw, raw->heads == 1);
    raw_free(raw);
}

static void what_is_neither_version_gets_no_answer_in_one(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    static const char words[] = "INVALID CONNECTION PREFACE\r\n\r\n";
    raw_bytes(raw, words, sizeof(words) - 1);
    RAW_UNTIL(raw, raw->connection == NULL);
    assert_int_equal(raw->in_len, 0);
    assert_true(raw->closed);
    assert_string_equal(raw->why, "version");
    raw_free(raw);
}

static void a_connection_starts_with_the_preface_and_settings(void **state)
{
    (void)state;
    struct raw *raw = raw_new(); /* P68: a wrong preface is no HTTP/1 either */
    raw_bytes(raw, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24);
    RAW_UNTIL(raw, raw->closed);
    assert_int_equal(raw->heads, 0);
    raw_free(raw);
    raw = raw_new(); /* P69 */
    raw_bytes(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    raw_frame(raw, RAW_PING, 0, 0, TEXT("12345678"));
    expect_goaway(raw, 1, "P69");
    raw_free(raw);
    raw = raw_new(); /* in pieces of one byte */
    raw_preface(raw);
    raw_get(raw, 1, GOOD, "/slow");
    size_t len = raw->out.len;
    for (raw->out.len = 0; raw->out.len <= len && !raw_is_answered(raw, 1); raw->out.len++)
        raw_turn(raw);
    raw->out.len = len;
    RAW_UNTIL(raw, raw_is_answered(raw, 1));
    raw_free(raw);
}

/* ---- floods ---- */

static void expect_calm(struct raw *raw, const char *row)
{
    expect_goaway(raw, 11, row);
    assert_int_equal(raw->closed_err, ERR_LIMIT);
    assert_true(raw->heads <= 250);
    raw_free(raw);
}

static void floods_of_frames_end_in_calm(void **state)
{
    (void)state;
    static const char *const ROWS_OF[] = {"P43", "P57", "P59", "P60", "P61", "P62"};
    for (size_t row = 0; row < ARRAY_LEN(ROWS_OF); row++) {
        struct raw *raw = raw_new();
        raw->hold = true;
        raw_preface(raw);
        if (row == 0)
            raw_get(raw, 1, RAW_END, "/");
        if (row == 4)
            raw_get(raw, 1, RAW_END_HEADERS, "/");
        for (uint32_t i = 0; i < 10000; i++) {
            if (row == 0)
                raw_frame(raw, RAW_CONTINUATION, 0, 1, TEXT_NONE);
            if (row == 1) {
                raw_get(raw, 2 * i + 1, GOOD, "/");
                raw_frame32(raw, RAW_RESET, 2 * i + 1, 8);
            }
            if (row == 2)
                raw_frame(raw, RAW_SETTINGS, 0, 0, TEXT_NONE);
            if (row == 3)
                raw_frame(raw, RAW_PING, 0, 0, TEXT("12345678"));
            if (row == 4)
                raw_frame(raw, RAW_DATA, 0, 1, TEXT_NONE);
            if (row == 5)
                raw_frame(raw, RAW_PRIORITY, 0, 2 * i + 1, TEXT("\0\0\0\0\1"));
        }
        expect_calm(raw, ROWS_OF[row]);
    }
}

/* What comes faster than it is read must not keep the worker to itself. */
static void one_client_is_read_for_its_share_of_a_turn(void **state)
{
    (void)state;
    static const char load[LIMIT_H2_FRAME];
    struct raw *raw = raw_new();
    int unread = 0, rest = 0;
    raw_preface(raw);
    raw_get(raw, 1, GOOD, "/");
    RAW_UNTIL(raw, raw_is_answered(raw, 1));
    int fd = raw->connection->stream.watch.fd;
    for (int i = 0; i < 20; i++)
        raw_frame(raw, 0x42, 0, 0, text_from(load, sizeof(load)));
    raw_get(raw, 3, GOOD, "/");
    ssize_t sent = send(raw->fd, raw->out.data + raw->out_at, raw->out.len - raw->out_at, 0);
    assert_true(sent > 0);
    raw->out_at += (size_t)sent;
    assert_int_equal(ioctl(fd, FIONREAD, &unread), 0);
    assert_true(unread > 2 * LIMIT_H2_READS * LIMIT_BUFFER_BLOCK);
    for (int turn = 0; turn < 2; turn++) {
        assert_true(loop_turn(raw->loop, -1)); /* and it is not waited for */
        assert_int_equal(ioctl(fd, FIONREAD, &rest), 0);
        assert_int_equal(unread - rest, LIMIT_H2_READS * LIMIT_BUFFER_BLOCK);
        unread = rest;
    }
    RAW_UNTIL(raw, raw_is_answered(raw, 3));
    raw_free(raw);
}

/* P57 again, with a pause in between: each request is seen above before its reset comes. */
static void rapid_resets_that_are_seen_one_by_one_are_counted(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    raw->hold = true;
    raw_preface(raw);
    for (uint32_t i = 0; i < 1000 && !raw->closed; i++) {
        raw_get(raw, 2 * i + 1, GOOD, "/");
        raw_turn(raw);
        raw_frame32(raw, RAW_RESET, 2 * i + 1, 8);
        raw_turn(raw);
    }
    expect_calm(raw, "P57");
}

/* P58: resets that we are made to send count like the peer's own. */
static void being_made_to_reset_is_counted(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    raw->hold = true;
    raw_preface(raw);
    for (uint32_t i = 0; i < 1000 && !raw->closed; i++) {
        raw_get(raw, 2 * i + 1, GOOD, "/");
        raw_frame32(raw, RAW_WINDOW, 2 * i + 1, 0);
        raw_turn(raw);
    }
    RAW_UNTIL(raw, raw->closed);
    assert_true(raw->heads <= 250);
    assert_non_null(raw_find(raw, RAW_GOAWAY, 0));
    raw_free(raw);
    raw = raw_new(); /* the same with malformed heads */
    raw_preface(raw);
    for (uint32_t i = 0; i < 1000 && !raw->closed; i++) {
        raw_get(raw, 2 * i + 1, GOOD, "evil");
        raw_turn(raw);
    }
    expect_calm(raw, "P58");
}

static void an_honest_client_may_cancel_many_among_more(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    raw_preface(raw);
    for (uint32_t i = 0; i < 900; i++) {
        raw_get(raw, 2 * i + 1, GOOD, "/");
        RAW_UNTIL(raw, raw->heads == i + 1);
        if (i % 3 == 0)
            raw_frame32(raw, RAW_RESET, 2 * i + 1, 8); /* too late: it was answered */
        raw_frame(raw, RAW_PING, 0, 0, TEXT("12345678"));
        raw_frame(raw, RAW_PING, 0, 0, TEXT("12345678"));
    }
    raw_turn(raw);
    assert_false(raw->closed);
    assert_null(raw_find(raw, RAW_GOAWAY, 0));
    raw_free(raw);
}

/* P63 */
static void streams_over_the_limit_are_refused_alone(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    raw->hold = true;
    raw_preface(raw);
    RAW_UNTIL(raw, raw_find(raw, RAW_SETTINGS, 0) != NULL);
    for (uint32_t i = 0; i < 150; i++)
        raw_get(raw, 2 * i + 1, RAW_END_HEADERS, "/");
    RAW_UNTIL(raw, raw_count(raw, RAW_RESET, 7) == 50);
    assert_int_equal(raw->heads, 100);
    assert_false(raw->closed);
    for (uint32_t i = 0; i < 100; i++)
        raw_frame(raw, RAW_DATA, RAW_END, 2 * i + 1, TEXT_NONE);
    raw->hold = false;
    RAW_UNTIL(raw, raw_is_answered(raw, 199));
    raw_get(raw, 301, GOOD, "/");
    RAW_UNTIL(raw, raw_is_answered(raw, 301));
    raw_free(raw);
}

/* ---- sizes ---- */

static void heads_over_the_limit_are_answered_or_cut(void **state)
{
    (void)state;
    char *large = memory_alloc(200 << 10);
    memset(large, 'x', 200 << 10);
    struct builder block = {0};
    struct raw *raw = raw_new(); /* P44: 200 KiB in CONTINUATIONs */
    raw_field(&block, TEXT("x"), text_from(large, 200 << 10));
    raw_preface(raw);
    raw_get(raw, 1, RAW_END, "/");
    for (size_t at = 0; at < block.len; at += 16000)
        raw_frame(raw, RAW_CONTINUATION, at + 16000 >= block.len ? RAW_END_HEADERS : 0, 1,
                  text_slice(builder_text(&block), at, at + 16000));
    RAW_UNTIL(raw, raw->closed || raw_is_refused(raw, 1));
    assert_int_equal(raw->heads, 0);
    raw_free(raw);
    builder_clear(&block);

    raw = raw_new(); /* P45: one large entry, named 8,000 times */
    builder_add_char(&block, 0x40);
    raw_integer(&block, 1);
    builder_add_char(&block, 'x');
    raw_integer(&block, 3900);
    builder_add(&block, text_from(large, 3900));
    for (int i = 0; i < 8000; i++)
        builder_add_char(&block, (char)(unsigned char)0xbe);
    raw_preface(raw);
    raw_get(raw, 1, RAW_END, "/");
    raw_frame(raw, RAW_CONTINUATION, RAW_END_HEADERS, 1, builder_text(&block));
    RAW_UNTIL(raw, raw->closed || raw_is_refused(raw, 1));
    assert_int_equal(raw->heads, 0);
    raw_free(raw);
    builder_clear(&block);

    raw = raw_new(); /* P66: crumbs */
    for (int i = 0; i < 1000; i++)
        raw_field(&block, TEXT("cookie"), text_from(large, 100));
    raw_preface(raw);
    raw_get(raw, 1, RAW_END, "/");
    for (size_t at = 0; at < block.len; at += 16000)
        raw_frame(raw, RAW_CONTINUATION, at + 16000 >= block.len ? RAW_END_HEADERS : 0, 1,
                  text_slice(builder_text(&block), at, at + 16000));
    raw_get(raw, 3, GOOD, "/next");
    RAW_UNTIL(raw, raw_is_answered(raw, 3));
    assert_true(raw_is_refused(raw, 1));
    assert_int_equal(raw->heads, 1);
    raw_free(raw);
    builder_fini(&block);

    raw = raw_new(); /* 150 short fields: an answer with 431 */
    struct raw_field fields[154] = {METHOD, SCHEME, PATH, AUTHORITY};
    for (size_t i = 4; i < 154; i++)
        fields[i] = (struct raw_field){TEXT("x"), TEXT("1")};
    raw_preface(raw);
    raw_head(raw, 1, GOOD, fields, 154);
    raw_get(raw, 3, GOOD, "/next");
    RAW_UNTIL(raw, raw_is_answered(raw, 3));
    assert_true(raw_is_refused(raw, 1) && raw_find(raw, RAW_HEADERS, 1) != NULL);
    assert_string_equal(raw->reason, "header_limit");
    raw_free(raw);
    free(large);
}

/* P67, and that bytes nobody takes stop the sender at its window. */
static void data_beyond_the_window_is_an_error(void **state)
{
    (void)state;
    char *load = memory_alloc(16384);
    struct raw *raw = raw_new();
    raw->keep_body = true;
    raw_preface(raw);
    raw_get(raw, 1, RAW_END_HEADERS, "/");
    for (int i = 0; i < 80; i++)
        raw_frame(raw, RAW_DATA, 0, 1, text_from(load, 16384));
    raw_get(raw, 3, GOOD, "/next");
    RAW_UNTIL(raw, raw->closed || raw_is_answered(raw, 3));
    const struct raw_frame *reset = raw_find(raw, RAW_RESET, 1);
    const struct raw_frame *goaway = raw_find(raw, RAW_GOAWAY, 0);
    assert_true((reset != NULL && reset->code == 3) || (goaway != NULL && goaway->code == 3));
    assert_int_equal(raw_find(raw, RAW_WINDOW, 1) != NULL, 0);
    raw_free(raw);
    free(load);
}

/* ---- time ---- */

static void what_stalls_is_ended_by_the_clock(void **state)
{
    (void)state;
    struct raw *raw = raw_new(); /* a head that never ends */
    raw->settings.header_ms = 60;
    raw_preface(raw);
    raw_get(raw, 1, RAW_END, "/");
    RAW_UNTIL(raw, raw->connection == NULL);
    assert_int_equal(raw->closed_err, ERR_TIMEOUT);
    raw_free(raw);

    raw = raw_new(); /* a preface and nothing more */
    raw->settings.header_ms = 60;
    raw_bytes(raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    RAW_UNTIL(raw, raw->connection == NULL);
    assert_int_equal(raw->closed_err, ERR_TIMEOUT);
    raw_free(raw);

    raw = raw_new(); /* a body that stops */
    raw->settings.body_ms = 60;
    raw_preface(raw);
    raw_get(raw, 1, RAW_END_HEADERS, "/");
    RAW_UNTIL(raw, raw->aborts == 1);
    assert_int_equal(raw->abort_err, ERR_TIMEOUT);
    RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL);
    assert_false(raw->closed);
    raw_free(raw);

    raw = raw_new(); /* idle: GOAWAY, then the end */
    raw->settings.idle_ms = 60;
    raw_preface(raw);
    raw_get(raw, 1, GOOD, "/");
    RAW_UNTIL(raw, raw->closed);
    assert_non_null(raw_find(raw, RAW_GOAWAY, 0));
    assert_int_equal(raw_find(raw, RAW_GOAWAY, 0)->code, 0);
    RAW_UNTIL(raw, raw->connection == NULL);
    assert_int_equal(raw->closed_err, ERR_NONE);
    raw_free(raw);
}

static void an_early_answer_that_nobody_takes_is_ended_by_the_clock(void **state)
{
    (void)state;
    struct raw *raw = raw_new();
    raw->early = true;
    raw->settings.write_ms = raw->settings.idle_ms = 60;
    raw_preface(raw);
    raw_setting(raw, 4, 0); /* no window for any stream */
    raw_get(raw, 1, RAW_END_HEADERS, "/");
    RAW_UNTIL(raw, raw_find(raw, RAW_HEADERS, 1) != NULL);
    RAW_UNTIL(raw, raw_find(raw, RAW_RESET, 1) != NULL);
    assert_int_equal(raw_find(raw, RAW_RESET, 1)->code, 8);
    RAW_UNTIL(raw, raw->connection == NULL);
    assert_int_equal(raw->closed_err, ERR_NONE);
    raw_free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_head_is_refused_and_the_next_request_is_answered),
        cmocka_unit_test(a_good_head_is_taken_in_its_normal_form),
        cmocka_unit_test(a_body_that_breaks_its_promise_resets_its_stream),
        cmocka_unit_test(trailers_and_padding_of_an_honest_request_pass),
        cmocka_unit_test(a_broken_frame_ends_the_connection_with_its_code),
        cmocka_unit_test(a_stream_window_that_overflows_ends_that_stream_alone),
        cmocka_unit_test(a_body_that_overruns_its_window_ends_in_flow_control_error),
        cmocka_unit_test(a_stream_that_overflows_at_once_is_never_seen),
        cmocka_unit_test(what_is_neither_version_gets_no_answer_in_one),
        cmocka_unit_test(a_connection_starts_with_the_preface_and_settings),
        cmocka_unit_test(floods_of_frames_end_in_calm),
        cmocka_unit_test(one_client_is_read_for_its_share_of_a_turn),
        cmocka_unit_test(rapid_resets_that_are_seen_one_by_one_are_counted),
        cmocka_unit_test(being_made_to_reset_is_counted),
        cmocka_unit_test(an_honest_client_may_cancel_many_among_more),
        cmocka_unit_test(streams_over_the_limit_are_refused_alone),
        cmocka_unit_test(heads_over_the_limit_are_answered_or_cut),
        cmocka_unit_test(data_beyond_the_window_is_an_error),
        cmocka_unit_test(an_early_answer_that_nobody_takes_is_ended_by_the_clock),
        cmocka_unit_test(what_stalls_is_ended_by_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
