/* gRPC as a proxy meets it: its deadline, and statuses where the gateway or a backend fails to send
 * one. Messages pass as any body does. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/exchange/exchange.h"

/* Over HTTP/2, with a content-type of gRPC; gRPC-Web: data/proxy/rpc_web.h. */
bool rpc_is(const struct message *request);
/* grpc-timeout; 0: none, or not one. At least 1 otherwise. */
uint32_t rpc_timeout_ms(const struct message *request);
/* Our own answer in x becomes a head that is all of the response: 200 with grpc-status. */
void rpc_answer(struct exchange *x);
/* The backend's head is all: it must carry a grpc-status, or gets one by its HTTP status. */
void rpc_end_head(struct exchange *x);
/* The backend's trailers, with a grpc-status if neither they nor its head have one. */
void rpc_end(struct exchange *x, struct message *trailers);
/* Trailers for an answer that ends early by x->flag, and `err`. */
void rpc_cut(struct exchange *x, enum err err, struct message *ret_trailers);
