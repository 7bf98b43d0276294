/* Rules about fields by their name, for both codecs. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "http/names.h"

/* With '_' for '-' it is a name that means something to a gateway: servers behind CGI-like
 * interfaces take both for the same. Such a request is refused. */
bool field_is_alias(struct text name);
/* RFC 9110 6.5.1: framing, routing, identity and content fields never come from trailers. */
bool field_may_trail(enum name_id id, struct text name);
