/* The resources that a data plane has, as bytes, without what only a data plane may know. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "control/publish/publish.h"
#include "net/tls_make.h"

/* An array of {"type", "name", "bytes" in base64}: of one Gateway ("namespace/name"), or of all if
 * `gateway` is empty. For each certificate and its key stands `stand_in`, for each key of sessions
 * zeros, so that the whole still compiles. */
void disclose_resources(const struct outcome *outcome, const struct publish *publish,
                        struct text gateway, const struct tls_made *stand_in, struct json *json);
