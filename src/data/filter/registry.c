/* Every filter, in the order in which a request meets them; decided here and nowhere else.
 *
 * Who may not come at all gets nothing else said. CORS comes next: a preflight carries no
 * credentials and costs no more than its answer, and a page must be able to read why the others
 * refused it. Then a limit: what is refused costs nothing more, and its key is a header as the
 * client sent it, not as a filter made it. Who is asked about a request sees it as the client sent
 * it, and nothing is done for one that is refused. Header edits come before what may answer, so
 * that a redirect's response passes through response_headers on its way back. url_rewrite comes
 * late: it changes what is sent, and nobody behind it must see another path than the one that was
 * matched. A mirror only notes where a copy goes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/filters.h"

static const struct filter_type *const FILTERS[] = {
    &filter_address_list,    &filter_cors,
    &filter_rate_limit,      &filter_external_auth,
    &filter_request_headers, &filter_response_headers,
    &filter_redirect,        &filter_url_rewrite,
    &filter_mirror,
};

uint32_t filter_rank(const struct filter_type *type)
{
    uint32_t rank = 0;
    while (rank < ARRAY_LEN(FILTERS) && FILTERS[rank] != type)
        rank++;
    return rank;
}
