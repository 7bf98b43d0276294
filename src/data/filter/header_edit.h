/* Set, add and remove of header fields: what request_headers and response_headers share. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "base/fault.h"
#include "http/message.h"
#include "nantian/config/v1/filter.pb-c.h"

struct header_pair {
    struct text name, value;
};

struct header_edit {
    struct header_pair *set, *add;
    struct text *remove;
    uint32_t set_count, add_count, remove_count;
    struct text host; /* of a request: set "Host"; empty: not */
};

/* Checks names and values: no field that frames the message or belongs to the connection. Of equal
 * names in one list the first counts, as the Gateway API says. */
enum err header_edit_compile(const Nantian__Config__V1__HeaderModifier *message, bool is_request,
                             struct arena *arena, struct header_edit *ret_edit,
                             struct fault *fault);
/* A service may tell us to set this: a field that frames nothing and is not Host, with a value that
 * may be sent. Empty values are fine. */
bool header_edit_may(struct text name, struct text value);
/* Removes, then sets, then adds. */
void header_edit_apply(const struct header_edit *edit, struct message *message,
                       struct arena *arena);
