/* The request's head as the backend gets it: who asked, for what, by which id. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/exchange/exchange.h"

struct forward {
    struct text client; /* the client's address without port */
    struct text port;   /* that it connected to */
    bool is_trusted;    /* what the client says about others before it is kept */
};

/* Of a stranger's request, before it is matched and filtered: the fields that only gateways set
 * (http/field.h). What filters and services set later goes on. */
void forward_forget(struct message *request);
/* Edits x->request in place; text is copied to the exchange's arena where it would not last. */
void forward_request(struct exchange *x, const struct forward *forward);
