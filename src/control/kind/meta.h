/* metadata of every object. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/decode.h"

/* Fills out->labels and so on from the object's `metadata`; name and namespace too. */
void meta_decode(struct decode *decode, const struct value *metadata,
                 const struct decode_format *name_format, struct kind_meta *out);
/* RFC 3339 in UTC or with an offset; 0: not one. */
int64_t meta_seconds(struct text text);
