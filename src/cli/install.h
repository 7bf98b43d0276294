/* deploy/install.yaml, as it was when this program was built. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

extern const char install_text[];
