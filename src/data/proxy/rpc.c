/* Deadlines read, statuses made. What the client gets is what the protocol's own mapping would give
 * it, but said plainly and with our sentence. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/rpc.h"

#define MESSAGE_MAX 256

enum rpc_code { /* of gRPC's status codes, those that a proxy has reason to say */
                RPC_UNKNOWN = 2,
                RPC_DEADLINE_EXCEEDED = 4,
                RPC_PERMISSION_DENIED = 7,
                RPC_RESOURCE_EXHAUSTED = 8,
                RPC_UNIMPLEMENTED = 12,
                RPC_INTERNAL = 13,
                RPC_UNAVAILABLE = 14,
                RPC_UNAUTHENTICATED = 16,
                RPC_LAST = 16,
};

bool rpc_is(const struct message *request)
{
    static const struct text TYPE = {"application/grpc", 16};
    if (request->version < 20 || request->method != METHOD_POST)
        return false;
    struct text value = message_value(request, NAME_CONTENT_TYPE);
    return value.len >= TYPE.len && text_equal_nocase(text_slice(value, 0, TYPE.len), TYPE) &&
           (value.len == TYPE.len || strchr("+; ", value.data[TYPE.len]) != NULL);
}

/* At most eight digits and a unit (PROTOCOL-HTTP2.md). */
uint32_t rpc_timeout_ms(const struct message *request)
{
    static const struct {
        char name;
        uint64_t ns;
    } UNITS[] = {{'H', UINT64_C(3600000000000)},
                 {'M', UINT64_C(60000000000)},
                 {'S', 1000000000},
                 {'m', 1000000},
                 {'u', 1000},
                 {'n', 1}};
    struct text value = message_value(request, NAME_GRPC_TIMEOUT);
    uint64_t count;
    if (value.len < 2 || value.len > 9 || !text_to_u64(text_slice(value, 0, value.len - 1), &count))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (UNITS[i].name != value.data[value.len - 1])
            continue;
        uint64_t ms = count * UNITS[i].ns / 1000000;
        return (uint32_t)MAX(MIN(ms, (uint64_t)UINT32_MAX), 1u);
    }
    return 0;
}

/* As gRPC clients map a status without grpc-status, and finer where we know more. */
static enum rpc_code code_of(int status, enum response_flag flag)
{
    if (flag == FLAG_NC || flag == FLAG_UF || flag == FLAG_UC || flag == FLAG_UPE)
        return RPC_UNAVAILABLE; /* GRPCRoute: so for backends that cannot be used */
    if (flag == FLAG_UT || flag == FLAG_DT)
        return RPC_DEADLINE_EXCEEDED;
    switch (status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
    case 405:
        return RPC_UNIMPLEMENTED;
    case 408:
    case 504:
        return RPC_DEADLINE_EXCEEDED;
    case 413:
    case 431:
        return RPC_RESOURCE_EXHAUSTED;
    case 421:
    case 429:
    case 502:
    case 503:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN;
    }
}

static struct text code_text(struct exchange *x, enum rpc_code code)
{
    x->rpc_status = (int)code + 1;
    return arena_printf(x->arena, "%d", (int)code);
}

/* Visible ASCII but '%' stays; the rest is percent-encoded. */
static struct text encode_message(struct exchange *x, struct text sentence)
{
    static const char HEX[] = "0123456789ABCDEF";
    char *out = arena_alloc(x->arena, 3 * MESSAGE_MAX + 1);
    size_t len = 0;
    while (sentence.len > 0 && strchr("\r\n ", sentence.data[sentence.len - 1]) != NULL)
        sentence.len--;
    for (size_t i = 0; i < MIN(sentence.len, (size_t)MESSAGE_MAX); i++) {
        unsigned char byte = (unsigned char)sentence.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '%') {
            out[len++] = (char)byte;
            continue;
        }
        out[len++] = '%';
        out[len++] = HEX[byte >> 4];
        out[len++] = HEX[byte & 15];
    }
    return text_from(out, len);
}

void rpc_answer(struct exchange *x)
{
    struct message *head = x->response;
    if (head->status < 400)
        return;
    bool is_words = text_starts_with(message_value(head, NAME_CONTENT_TYPE), TEXT("text/plain"));
    struct text sentence = is_words ? encode_message(x, x->local_body) : TEXT_NONE;
    enum rpc_code code = code_of(head->status, x->flag);
    head->status = 200;
    head->reason = message_reason(200);
    head->framing = FRAMING_NONE;
    x->local_body = TEXT_NONE;
    message_set(head, x->arena, TEXT("content-type"), TEXT("application/grpc"));
    message_set(head, x->arena, TEXT("grpc-status"), code_text(x, code));
    if (sentence.len > 0)
        message_set(head, x->arena, TEXT("grpc-message"), sentence);
}

static bool has_status(struct exchange *x, const struct message *message)
{
    uint64_t code;
    if (!text_to_u64(message_value(message, NAME_GRPC_STATUS), &code) || code > RPC_LAST)
        return false;
    x->rpc_status = (int)code + 1;
    return true;
}

static void set_status(struct exchange *x, struct message *message)
{
    int status = x->response->status;
    message_set(message, x->arena, TEXT("grpc-status"), code_text(x, code_of(status, FLAG_NONE)));
}

void rpc_end_head(struct exchange *x)
{
    if (!has_status(x, x->response))
        set_status(x, x->response);
}

void rpc_end(struct exchange *x, struct message *trailers)
{
    if (!has_status(x, trailers) && !has_status(x, x->response))
        set_status(x, trailers);
}

void rpc_cut(struct exchange *x, enum err err, struct message *ret_trailers)
{
    enum rpc_code code = x->flag != FLAG_DPE ? code_of(502, x->flag)
                         : err == ERR_LIMIT  ? RPC_RESOURCE_EXHAUSTED
                                             : RPC_INTERNAL;
    message_init(ret_trailers);
    message_add(ret_trailers, x->arena, TEXT("grpc-status"), code_text(x, code));
    message_add(ret_trailers, x->arena, TEXT("grpc-message"),
                encode_message(x, text_of(x->details == NULL ? "" : x->details)));
}
