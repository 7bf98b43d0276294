/* Rules about fields by their name, for both codecs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "http/names.h"

/* With '_' for '-' it is a name that means something to a gateway: servers behind CGI-like
 * interfaces take both for the same. Such a request is refused. */
bool field_is_alias(struct text name);
/* What gateways say of a client to those behind them, and nobody else may: Forwarded, X-Real-IP,
 * all of X-Envoy-* and X-Nantian-*, and of X-Forwarded-* what the gateway itself does not write
 * over (data/proxy/forward.h). */
bool field_is_of_gateways(enum name_id id, struct text name);
/* RFC 9110 6.5.1: framing, routing, identity and content fields never come from trailers. */
bool field_may_trail(enum name_id id, struct text name);
