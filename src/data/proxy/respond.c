/* What went wrong -> status, response flag, log word, and the sentence that the client reads. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/proxy/respond.h"

#include "base/limits.h"

struct row {
    enum response_flag flag;
    enum err err; /* ERR_NONE: any */
    int status;
    const char *details;
    const char *sentence;
};

/* The first row that fits counts. */
static const struct row ROWS[] = {
    {FLAG_NR, ERR_NONE, 404, "route_not_found", "No route matches this request.\n"},
    {FLAG_NC, ERR_NONE, 500, "no_valid_backend", "The route has no valid backend.\n"},
    {FLAG_UH, ERR_NONE, 503, "no_healthy_upstream", "The backend has no endpoint.\n"},
    {FLAG_UF, ERR_PROTOCOL, 502, "upstream_tls_failure",
     "The TLS handshake with the backend failed.\n"},
    {FLAG_UF, ERR_NONE, 503, "upstream_connect_failure", "The backend cannot be reached.\n"},
    {FLAG_UC, ERR_NONE, 502, "upstream_reset_before_response",
     "The backend closed the connection before it answered.\n"},
    {FLAG_UT, ERR_NONE, 504, "upstream_response_timeout", "The backend did not answer in time.\n"},
    {FLAG_UO, ERR_NONE, 503, "upstream_overflow", "The backend has too many requests waiting.\n"},
    {FLAG_UPE, ERR_LIMIT, 502, "upstream_header_limit",
     "The head of the backend's answer is too large.\n"},
    {FLAG_UPE, ERR_NONE, 502, "upstream_protocol_error", "The backend's answer is not HTTP.\n"},
    {FLAG_URX, ERR_NONE, 503, "retry_budget_exceeded", "The backend gets no more retries now.\n"},
    {FLAG_RL, ERR_NONE, 429, "rate_limited", "Too many requests.\n"},
    {FLAG_DT, ERR_NONE, 504, "request_timeout", "The request took longer than its route allows.\n"},
    {FLAG_DPE, ERR_NONE, 400, "downstream_protocol_error", "The request is not valid.\n"},
    {FLAG_OM, ERR_NONE, 503, "overload", "The gateway is out of memory for new requests.\n"},
    {FLAG_DC, ERR_TIMEOUT, 408, "downstream_timeout", "The request body stopped coming.\n"},
    {FLAG_DC, ERR_NONE, 400, "downstream_closed", "The request was not completed.\n"},
    {FLAG_NONE, ERR_NONE, 500, "internal_error", "The gateway failed.\n"},
};

void respond_status(struct exchange *x, int status, enum response_flag flag, const char *details,
                    const char *sentence)
{
    exchange_respond(x, status, flag, details);
    if (status == 405) /* RFC 9110 15.5.6 */
        message_set(x->response, x->arena, TEXT("allow"),
                    TEXT("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
    if (flag == FLAG_OM)
        message_set(x->response, x->arena, TEXT("retry-after"), TEXT(LIMIT_MEMORY_RETRY));
    exchange_respond_body(x, TEXT("text/plain; charset=utf-8"), text_of(sentence));
}

void respond_failure(struct exchange *x, enum err err, enum response_flag flag, const char *details)
{
    const struct row *row = ROWS;
    while (row->flag != FLAG_NONE &&
           (row->flag != flag || (row->err != ERR_NONE && row->err != err)))
        row++;
    respond_status(x, row->status, flag, details == NULL ? row->details : details, row->sentence);
}
