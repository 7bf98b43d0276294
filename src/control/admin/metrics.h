/* The control plane's metrics as Prometheus text. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "control/admin/admin.h"

void metrics_write(const struct admin_source *source, struct builder *out);
