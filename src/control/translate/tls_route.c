/* Rules of TLSRoutes: by server name, passed through or terminated as the listener says; the
 * backend gets a byte stream either way. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/l4_route.h"

void tls_route_rules(struct route_build *build)
{
    l4_route_add_rules(build, BACKENDS_TCP);
}
