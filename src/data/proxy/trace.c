/* "00-<trace id, 32 hex>-<parent id, 16 hex>-<flags, 2 hex>" in, the same with our own parent id
 * out. A trace that begins here is marked as recorded: its id stands in our access log. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/trace.h"

enum { ID_AT = 3, ID_LEN = 32, PARENT_AT = 36, PARENT_LEN = 16, FLAGS_AT = 53, WHOLE = 55 };

static int digit_of(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1; /* upper case is not valid */
}

static bool is_hex(struct text text, bool may_be_zero)
{
    int any = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.data[i]);
        if (digit < 0)
            return false;
        any |= digit;
    }
    return may_be_zero || any != 0;
}

/* A later version may say more, behind another '-' (3.2.4 of the specification). */
static bool is_valid(struct text parent)
{
    if (parent.len < WHOLE || parent.data[2] != '-' || parent.data[35] != '-' ||
        parent.data[52] != '-')
        return false;
    struct text version = text_slice(parent, 0, 2);
    if (!is_hex(version, true) || text_is(version, "ff"))
        return false;
    if (parent.len > WHOLE && (text_is(version, "00") || parent.data[WHOLE] != '-'))
        return false;
    return is_hex(text_slice(parent, ID_AT, ID_AT + ID_LEN), false) &&
           is_hex(text_slice(parent, PARENT_AT, PARENT_AT + PARENT_LEN), false) &&
           is_hex(text_slice(parent, FLAGS_AT, WHOLE), true);
}

/* Eight hex digits at once: a digit a byte. */
static void put_hex(char *out, uint32_t value)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t digits = value;
    digits = (digits | digits << 16) & 0x0000FFFF0000FFFFu;
    digits = (digits | digits << 8) & 0x00FF00FF00FF00FFu;
    digits = (digits | digits << 4) & 0x0F0F0F0F0F0F0F0Fu;
    digits += ones * '0' + (((digits + ones * 6) >> 4) & ones) * ('a' - '0' - 10);
    memcpy(out, &digits, sizeof(digits));
}

/* Sixteen digits. */
static void put_random(struct exchange *x, char *out)
{
    uint64_t value = random_next(loop_random(x->loop));
    put_hex(out, (uint32_t)value);
    put_hex(out + 8, (uint32_t)(value >> 32));
    if (UNLIKELY(out[0] == '0'))
        out[0] = '1'; /* an id of zeros would be none */
}

static struct field *find_parent(struct message *request, uint32_t *ret_count)
{
    struct field *first = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->field_count; i++) {
        if (request->fields[i].id != NAME_TRACEPARENT)
            continue;
        first = first == NULL ? &request->fields[i] : first;
        count++;
    }
    *ret_count = count;
    return first;
}

void trace_forward(struct exchange *x)
{
    struct message *request = x->request;
    uint32_t count;
    struct field *parent = find_parent(request, &count);
    bool is_kept = count == 1 && is_valid(parent->value);
    char *out = arena_alloc(x->arena, WHOLE);
    memcpy(out, "00-", 3);
    out[35] = out[52] = '-';
    put_random(x, out + PARENT_AT);
    if (is_kept) {
        memcpy(out + ID_AT, parent->value.data + ID_AT, ID_LEN);
        out[FLAGS_AT] = '0'; /* of the flags, those that are known */
        out[FLAGS_AT + 1] = (char)('0' + (digit_of(parent->value.data[FLAGS_AT + 1]) & 3));
        parent->value = text_from(out, WHOLE);
        return;
    }
    put_random(x, out + ID_AT);
    put_random(x, out + ID_AT + ID_LEN / 2);
    memcpy(out + FLAGS_AT, "01", 2);
    if (count > 0)
        message_remove(request, TEXT("traceparent"));
    message_remove(request, TEXT("tracestate"));
    message_add(request, x->arena, TEXT("traceparent"), text_from(out, WHOLE));
}
