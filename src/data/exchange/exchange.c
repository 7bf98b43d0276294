/* Responses of our own, and the words for why the gateway answered itself. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/exchange/exchange.h"

const char *response_flag_name(enum response_flag flag)
{
    static const char *const NAMES[FLAG_COUNT] = {
        [FLAG_NONE] = "-",  [FLAG_NR] = "NR", [FLAG_UH] = "UH", [FLAG_UF] = "UF",
        [FLAG_UC] = "UC",   [FLAG_UT] = "UT", [FLAG_UO] = "UO", [FLAG_UPE] = "UPE",
        [FLAG_URX] = "URX", [FLAG_RL] = "RL", [FLAG_DC] = "DC", [FLAG_DPE] = "DPE",
        [FLAG_DT] = "DT",   [FLAG_NC] = "NC", [FLAG_OM] = "OM", [FLAG_UAEX] = "UAEX",
        [FLAG_AC] = "AC",
    };
    return (unsigned)flag < FLAG_COUNT ? NAMES[flag] : "-";
}

void exchange_beside(struct exchange *x, const struct exchange *from, struct arena *arena,
                     struct route *policy)
{
    *x = (struct exchange){
        .arena = arena,
        .lease = from->lease,
        .worker = from->worker,
        .pools = from->pools,
        .loop = from->loop,
        .hit = {.route = policy},
        .peer = from->peer,
        .started_ns = loop_now_ns(from->loop),
        .snapshot_number = from->snapshot_number,
    };
}

enum held exchange_hold(struct exchange *x, size_t max)
{
    const struct message *request = x->request;
    /* What follows a request for an upgrade is no body, and has no end. */
    if (request->framing == FRAMING_NONE || request->wants_upgrade || x->held.is_whole)
        return buffer_len(&x->held.bytes) > max ? HELD_TOO_LONG : HELD_WHOLE;
    if ((request->framing == FRAMING_LENGTH && request->content_length > max) ||
        buffer_len(&x->held.bytes) > max)
        return HELD_TOO_LONG;
    x->held.wanted = max + 1;
    return HELD_WAIT;
}

void exchange_respond(struct exchange *x, int status, enum response_flag flag, const char *details)
{
    message_init(&x->local_response);
    x->response = &x->local_response;
    x->response->version = 11;
    x->response->status = status;
    x->response->reason = message_reason(status);
    x->response->framing = FRAMING_LENGTH;
    x->response->content_length = 0;
    x->response->keep_alive = true;
    x->local_body = TEXT_NONE;
    x->flag = flag;
    x->details = details;
}

void exchange_respond_body(struct exchange *x, struct text content_type, struct text body)
{
    CHECK(x->response == &x->local_response);
    message_set(x->response, x->arena, TEXT("content-type"), content_type);
    x->response->framing = FRAMING_LENGTH;
    x->response->content_length = body.len;
    x->local_body = body;
}
