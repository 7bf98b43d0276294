/* The PROXY header: what is accepted is written and read again the same, and however the bytes come
 * in, the answer is the same and nothing behind the header is asked for. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "net/proxy_protocol.h"

#include "base/limits.h"
#include "fuzz.h"

static void check_again(const struct proxy_protocol *header)
{
    for (int version = 1; version <= 2; version++) {
        struct proxy_protocol copy = *header, again;
        struct builder out = {0};
        size_t len = 0;
        const char *why = NULL;
        copy.version = version;
        proxy_protocol_write(&out, &copy);
        CHECK(proxy_protocol_parse(builder_text(&out), &again, &len, &why) == ERR_NONE);
        CHECK(len == out.len && again.has_addresses == header->has_addresses);
        CHECK(!again.has_addresses || (address_equal(&again.source, &header->source) &&
                                       address_equal(&again.destination, &header->destination)));
        builder_fini(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = text_from((const char *)data, size);
    struct proxy_protocol header, part;
    size_t len = 0, have = 0, want = 0;
    const char *why = NULL;
    enum err whole = proxy_protocol_parse(input, &header, &len, &why), err;
    CHECK(whole == ERR_NONE || whole == ERR_AGAIN || why != NULL);
    CHECK(whole != ERR_AGAIN || (len > size && len <= 16 + LIMIT_PROXY_PROTOCOL));
    CHECK(whole != ERR_NONE || (len <= size && len <= 16 + LIMIT_PROXY_PROTOCOL));
    while ((err = proxy_protocol_parse(text_slice(input, 0, have), &part, &want, &why)) ==
               ERR_AGAIN &&
           want <= size) {
        CHECK(want > have && (whole != ERR_NONE || want <= len));
        have = want;
    }
    CHECK(whole != ERR_NONE || (err == ERR_NONE && want == len && have == len));
    CHECK(err != ERR_NONE || whole == ERR_NONE);
    if (whole == ERR_NONE)
        check_again(&header);
    return 0;
}
