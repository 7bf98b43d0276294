/* Session persistence as a rule or a backend has it, compiled; in the arena of its owner. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "net/seal.h"

struct session_config {
    struct text cookie, header;  /* name; one of them is empty */
    struct text path;            /* of the cookie */
    uint32_t absolute_s, idle_s; /* 0: none */
    bool is_permanent;
    struct seal_key key;
};
