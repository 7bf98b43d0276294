/* Messages of name servers: how long what they say holds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/nameser.h>
#include <stdlib.h>

/* <sys/param.h>, which it includes, has its own. */
#undef MIN
#undef MAX

#include "base/memory.h"
#include "data/upstream/dns.h"
#include "test.h"

/* A message as it is written down. */
struct message {
    uint8_t bytes[1024];
    size_t len;
};

static void put(struct message *message, const void *bytes, size_t len)
{
    assert_true(message->len + len <= sizeof(message->bytes));
    memcpy(message->bytes + message->len, bytes, len);
    message->len += len;
}

static void put16(struct message *message, unsigned value)
{
    put(message, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put32(struct message *message, uint32_t value)
{
    put16(message, value >> 16);
    put16(message, value & 0xffff);
}

/* "a.b IN A?", and how many records follow. */
static void begin(struct message *message, unsigned code, unsigned answers, unsigned authorities)
{
    message->len = 0;
    put16(message, 7);
    put16(message, 0x8180 | code);
    put16(message, 1);
    put16(message, answers);
    put16(message, authorities);
    put16(message, 0);
    put(message, "\1a\1b", 5);
    put16(message, ns_t_a);
    put16(message, ns_c_in);
}

static void add(struct message *message, unsigned type, uint32_t seconds, const void *data,
                size_t len)
{
    put16(message, 0xc00c); /* the name of the question */
    put16(message, type);
    put16(message, ns_c_in);
    put32(message, seconds);
    put16(message, (unsigned)len);
    put(message, data, len);
}

static void add_soa(struct message *message, uint32_t seconds, uint32_t minimum)
{
    struct message data = {.len = 0};
    put(&data, "\0", 2);
    for (int i = 0; i < 4; i++)
        put32(&data, 1000);
    put32(&data, minimum);
    add(message, ns_t_soa, seconds, data.bytes, data.len);
}

static void the_shortest_time_on_the_way_counts(void **state)
{
    (void)state;
    struct message message;
    struct dns_time time;
    begin(&message, ns_r_noerror, 3, 0);
    add(&message, ns_t_cname, 40, "\1c\1b", 5);
    add(&message, ns_t_a, 300, "\x0a\0\0\1", 4);
    add(&message, ns_t_a, 60, "\x0a\0\0\2", 4);
    assert_true(dns_read(message.bytes, message.len, &time));
    assert_false(time.is_negative);
    assert_int_equal(time.seconds, 40);
}

static void an_absence_holds_as_long_as_its_zone_says(void **state)
{
    (void)state;
    static const unsigned CODES[] = {ns_r_noerror, ns_r_nxdomain};
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++) {
        for (uint32_t minimum = 10; minimum <= 90; minimum += 80) {
            struct message message;
            struct dns_time time;
            begin(&message, CODES[i], 0, 1);
            add_soa(&message, 50, minimum);
            assert_true(dns_read(message.bytes, message.len, &time));
            assert_true(time.is_negative);
            assert_int_equal(time.seconds, MIN(minimum, 50u));
        }
    }
}

static void failures_and_silence_say_nothing(void **state)
{
    (void)state;
    struct message message;
    struct dns_time time;
    begin(&message, ns_r_servfail, 0, 1);
    add_soa(&message, 50, 50);
    assert_false(dns_read(message.bytes, message.len, &time));
    begin(&message, ns_r_nxdomain, 0, 0);
    assert_false(dns_read(message.bytes, message.len, &time));
    begin(&message, ns_r_noerror, 1, 0);
    add(&message, ns_t_cname, 40, "\1c\1b", 5); /* leads nowhere */
    assert_false(dns_read(message.bytes, message.len, &time));
}

/* Every cut of it, and every byte changed: read or refused, never beyond its end. */
static void broken_messages_are_refused(void **state)
{
    (void)state;
    struct message message;
    struct dns_time time;
    begin(&message, ns_r_noerror, 2, 1);
    add(&message, ns_t_cname, 40, "\1c\1b", 5);
    add(&message, ns_t_a, 300, "\x0a\0\0\1", 4);
    add_soa(&message, 50, 50);
    for (size_t len = 0; len < message.len; len++) {
        uint8_t *copy = memory_alloc(len + 1);
        memcpy(copy, message.bytes, len);
        assert_false(dns_read(copy, len, &time));
        free(copy);
    }
    for (size_t i = 0; i < message.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct message other = message;
            other.bytes[i] ^= (uint8_t)(1 << bit);
            (void)dns_read(other.bytes, other.len, &time);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_time_on_the_way_counts),
        cmocka_unit_test(an_absence_holds_as_long_as_its_zone_says),
        cmocka_unit_test(failures_and_silence_say_nothing),
        cmocka_unit_test(broken_messages_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
