/* The PROXY header: what is one, what is none (threat T37), and that no byte behind it is asked
 * for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "net/proxy_protocol.h"
#include "test.h"

/* TEXT() is no constant. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  "\x0a\0\0\1\x0a\0\0\2\x30\x39\0\x50"
#define V6                                                                                         \
    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x30\x39\0\x50"

struct row {
    struct text bytes;
    const char *source, *destination; /* NULL: none */
    bool is_local;
};

static const struct row GOOD[] = {
    {BYTES("PROXY TCP4 10.0.0.1 10.0.0.2 12345 80\r\n"), "10.0.0.1:12345", "10.0.0.2:80", false},
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255:65535",
     "255.255.255.255:65535", false},
    {BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0:0", "0.0.0.0:0", false},
    {BYTES("PROXY TCP6 2001:db8::1 ::1 12345 443\r\n"), "[2001:db8::1]:12345", "[::1]:443", false},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", false},
    {BYTES("PROXY UNKNOWN\r\n"), NULL, NULL, false},
    {BYTES("PROXY UNKNOWN ffff::1 whatever it says 1\r\n"), NULL, NULL, false},
    {BYTES(SIG "\x21\x11\0\x0c" V4), "10.0.0.1:12345", "10.0.0.2:80", false},
    {BYTES(SIG "\x21\x21\0\x24" V6), "[2001:db8::1]:12345", "[2001:db8::2]:80", false},
    {BYTES(SIG "\x21\x11\0\x13" V4 "\4\0\4\0\0\0\0"), "10.0.0.1:12345", "10.0.0.2:80", false},
    {BYTES(SIG "\x21\x11\0\x14" V4 "\1\0\2h2\2\0\0"), "10.0.0.1:12345", "10.0.0.2:80", false},
    {BYTES(SIG "\x21\0\0\0"), NULL, NULL, false},
    {BYTES(SIG "\x21\0\0\5abcde"), NULL, NULL, false},
    {BYTES(SIG "\x20\0\0\0"), NULL, NULL, true},
    {BYTES(SIG "\x20\x11\0\x0c" V4), NULL, NULL, true},
    {BYTES(SIG "\x20\xff\0\3abc"), NULL, NULL, true}, /* LOCAL: the family is to be ignored */
};

static const struct text BAD[] = {
    /* version 1 */
    BYTES("\n"), BYTES(" PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    BYTES("proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), BYTES("PROXY\r\n"), BYTES("PROXY \r\n"),
    BYTES("PROXY TCP\r\n"), BYTES("PROXY TCP4\r\n"), BYTES("PROXY TCP4 \r\n"),
    BYTES("PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n"), BYTES("PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n"),
    BYTES("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"), BYTES("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    BYTES("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"), BYTES("PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 0x1 2\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 000001 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 18446744073709551617 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1 2.2.2.2  2\r\n"), BYTES("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n"), BYTES("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1.1 2.2.2.2 1 2\r\n"), BYTES("PROXY TCP4 16843009 2.2.2.2 1 2\r\n"),
    BYTES("PROXY TCP4 ::1 ::1 1 2\r\n"), BYTES("PROXY TCP4 1.1.1.1 host 1 2\r\n"),
    BYTES("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"), BYTES("PROXY TCP6 ::1 2.2.2.2 1 2\r\n"),
    BYTES("PROXY TCP6 [::1] ::1 1 2\r\n"), BYTES("PROXY TCP6 ::1%lo ::1 1 2\r\n"),
    BYTES("PROXY TCP6 :::1 ::1 1 2\r\n"), BYTES("PROXY TCP6 12345::1 ::1 1 2\r\n"),
    BYTES("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n"),
    BYTES("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n"), BYTES("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\0\r\n"),
    BYTES("PROXY TCP4 1.1.1.\xb9 2.2.2.2 1 2\r\n"), BYTES("PROXY UNKNOWNS\r\n"),
    BYTES("PROXY UNKNOWN\n"), BYTES("PROXY UNKNOWN \1\r\n"),
    BYTES("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 and more until it is longer "
          "than a line of this protocol can be\r\n"), /* 108 and more */
    BYTES("GET / HTTP/1.1\r\n\r\n"), BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BYTES("\x16\x03\x01\x02\0\1"),
    /* version 2 */
    BYTES("\r\n\r\n\0\r\nQUIT\r"), BYTES("\r\n\r\n\r\nQUIT\n\x21\x11\0\x0c" V4),
    BYTES("\r\n\r\n\1"), BYTES(SIG "\x11\x11\0\x0c" V4),            /* version 1 */
    BYTES(SIG "\x31\x11\0\x0c" V4), BYTES(SIG "\x22\x11\0\x0c" V4), /* no such command */
    BYTES(SIG "\x2f\x11\0\x0c" V4), BYTES(SIG "\x01\x11\0\x0c" V4),
    BYTES(SIG "\x21\x12\0\x0c" V4), /* datagrams on a stream */
    BYTES(SIG "\x21\x22\0\x24" V6), BYTES(SIG "\x21\x10\0\x0c" V4), BYTES(SIG "\x21\x01\0\x0c" V4),
    BYTES(SIG "\x21\x13\0\x0c" V4), BYTES(SIG "\x21\x41\0\x0c" V4), BYTES(SIG "\x21\xff\0\x0c" V4),
    BYTES(SIG "\x21\x11\0\0"), BYTES(SIG "\x21\x11\0\x0b" V4), BYTES(SIG "\x21\x21\0\x0c" V4),
    BYTES(SIG "\x21\x21\0\x23" V6), BYTES(SIG "\x21\x31\0\x0c" V4),
    BYTES(SIG "\x21\x11\0\x0d" V4 "\4"), BYTES(SIG "\x21\x11\0\x0e" V4 "\4\0"),
    BYTES(SIG "\x21\x11\0\x0f" V4 "\4\0\1"), BYTES(SIG "\x21\x11\0\x10" V4 "\4\xff\xff\0"),
    BYTES(SIG "\x21\x11\0\x11" V4 "\4\0\1\0\5"), BYTES(SIG "\x21\x11\xff\xff" V4),
    BYTES(SIG "\x20\0\x08\x01"), /* longer than LIMIT_PROXY_PROTOCOL */
};

static enum err parse(struct text bytes, struct proxy_protocol *ret_header, size_t *ret_len)
{
    const char *why = NULL;
    enum err err = proxy_protocol_parse(bytes, ret_header, ret_len, &why);
    assert_int_equal(err == ERR_PROTOCOL || err == ERR_LIMIT, why != NULL);
    return err;
}

/* Reads as a stream would: exactly as many bytes as are certain, and then the same in one go. */
static void check_good(const struct row *row, struct text followed)
{
    struct proxy_protocol header;
    size_t have = 0, len = 0;
    int rounds = 0;
    enum err err;
    while ((err = parse(text_slice(followed, 0, have), &header, &len)) == ERR_AGAIN) {
        assert_true(len > have && len <= row->bytes.len);
        have = len;
        assert_true(++rounds < 60);
    }
    assert_int_equal(err, ERR_NONE);
    assert_int_equal(have, row->bytes.len);
    assert_int_equal(parse(followed, &header, &len), ERR_NONE);
    assert_int_equal(len, row->bytes.len);
    assert_int_equal(header.is_local, row->is_local);
    assert_int_equal(header.has_addresses, row->source != NULL);
    if (row->source != NULL) {
        char text[ADDRESS_TEXT_MAX];
        assert_string_equal(address_format(&header.source, text).data, row->source);
        assert_string_equal(address_format(&header.destination, text).data, row->destination);
    }
}

static void headers_are_read_and_nothing_behind_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        struct builder bytes CLEANUP(builder_fini) = {0};
        builder_add(&bytes, GOOD[i].bytes);
        builder_add_string(&bytes, "\r\nGET / HTTP/1.1\r\n");
        check_good(&GOOD[i], builder_text(&bytes));
    }
}

static void every_part_of_a_header_waits_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        for (size_t len = 0; len < GOOD[i].bytes.len; len++) {
            struct proxy_protocol header;
            size_t want = 0;
            assert_int_equal(parse(text_slice(GOOD[i].bytes, 0, len), &header, &want), ERR_AGAIN);
            assert_true(want > len && want <= GOOD[i].bytes.len);
        }
    }
}

static void what_is_no_header_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct proxy_protocol header;
        size_t len = 0, have = 0;
        enum err err = parse(BAD[i], &header, &len);
        if (err != ERR_PROTOCOL && err != ERR_LIMIT)
            fail_msg("row %zu gives %s", i, err_name(err));
        /* Byte by byte it is refused as well, and stays so. */
        bool refused = false;
        for (have = 0; have <= BAD[i].len; have++) {
            err = parse(text_slice(BAD[i], 0, have), &header, &len);
            assert_true(err != ERR_NONE && (!refused || err != ERR_AGAIN));
            refused = err != ERR_AGAIN;
        }
        assert_true(refused);
    }
}

static void a_line_ends_within_107_bytes(void **state)
{
    (void)state;
    for (size_t len = 15; len < 130; len++) {
        struct builder line CLEANUP(builder_fini) = {0};
        struct proxy_protocol header;
        size_t want = 0;
        builder_add_string(&line, len < 16 ? "PROXY UNKNOWN" : "PROXY UNKNOWN ");
        while (line.len < len - 2)
            builder_add_char(&line, 'x');
        builder_add_string(&line, "\r\n");
        assert_int_equal(parse(builder_text(&line), &header, &want),
                         len <= 107 ? ERR_NONE : ERR_LIMIT);
    }
}

static void extensions_are_skipped_up_to_a_bound(void **state)
{
    (void)state;
    for (size_t extra = LIMIT_PROXY_PROTOCOL - 14; extra <= LIMIT_PROXY_PROTOCOL - 10; extra++) {
        struct builder bytes CLEANUP(builder_fini) = {0};
        struct proxy_protocol header;
        size_t len = 12 + extra, got = 0, value = extra - 3;
        builder_add(&bytes, TEXT(SIG "\x21\x11"));
        builder_add_char(&bytes, (char)(len >> 8));
        builder_add_char(&bytes, (char)(len & 0xff));
        builder_add(&bytes, TEXT(V4 "\xee"));
        builder_add_char(&bytes, (char)(value >> 8));
        builder_add_char(&bytes, (char)(value & 0xff));
        memset(builder_reserve(&bytes, value), 'x', value);
        bytes.len += value;
        enum err want = len <= LIMIT_PROXY_PROTOCOL ? ERR_NONE : ERR_LIMIT;
        assert_int_equal(parse(builder_text(&bytes), &header, &got), want);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
            struct proxy_protocol header, again;
            struct builder out CLEANUP(builder_fini) = {0};
            size_t len = 0;
            assert_int_equal(parse(GOOD[i].bytes, &header, &len), ERR_NONE);
            header.version = version;
            proxy_protocol_write(&out, &header);
            assert_int_equal(parse(builder_text(&out), &again, &len), ERR_NONE);
            assert_int_equal(len, out.len);
            assert_int_equal(again.version, version);
            assert_int_equal(again.has_addresses, header.has_addresses);
            assert_int_equal(again.is_local, header.is_local && version == 2);
            assert_true(!again.has_addresses ||
                        (address_equal(&again.source, &header.source) &&
                         address_equal(&again.destination, &header.destination)));
        }
    }
}

static void two_families_are_written_as_unknown(void **state)
{
    (void)state;
    struct proxy_protocol header = {.version = 1, .has_addresses = true};
    struct builder out CLEANUP(builder_fini) = {0};
    assert_true(address_parse_endpoint(TEXT("10.0.0.1:1"), &header.source));
    assert_true(address_parse_endpoint(TEXT("[::1]:1"), &header.destination));
    proxy_protocol_write(&out, &header);
    assert_string_equal(out.data, "PROXY UNKNOWN\r\n");
    header.version = 2;
    builder_clear(&out);
    proxy_protocol_write(&out, &header);
    assert_int_equal(out.len, 16);
    assert_memory_equal(out.data, SIG "\x21\0\0\0", 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read_and_nothing_behind_them),
        cmocka_unit_test(every_part_of_a_header_waits_for_more),
        cmocka_unit_test(what_is_no_header_is_refused),
        cmocka_unit_test(a_line_ends_within_107_bytes),
        cmocka_unit_test(extensions_are_skipped_up_to_a_bound),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(two_families_are_written_as_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
