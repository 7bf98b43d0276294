/* Does a request meet one match of a rule, its path apart: method, header fields, query. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/snapshot/route.h"

/* Where it failed, for whoever explains: static words, and the name they are about. */
struct route_match_loss {
    const char *words;
    struct text detail;
};

bool route_match_request(const struct route_match *match, const struct message *request,
                         struct route_match_loss *ret_loss);
