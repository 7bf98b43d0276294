/* The Date field (RFC 9110 6.6.1) of answers that have none. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/proxy/proxy.h"

/* Lives until the next second's is made. */
struct text date_text(struct proxy *proxy);
