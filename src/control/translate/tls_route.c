/* Rules of TLSRoutes: by server name, passed through or terminated as the listener says; the
 * backend gets a byte stream either way, as with TCPRoutes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/translate/route.h"

void tls_route_rules(struct route_build *build)
{
    l4_route_rules(build);
}
