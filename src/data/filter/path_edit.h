/* A new path for a request: whole, or in place of the matched prefix. For redirect and url_rewrite.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "data/filter/filters.h"
#include "nantian/config/v1/filter.pb-c.h"

enum path_edit_kind { PATH_EDIT_NONE, PATH_EDIT_FULL, PATH_EDIT_PREFIX };

struct path_edit {
    enum path_edit_kind kind;
    struct text value; /* normal form; of a prefix without the last '/' */
};

/* `message` may be NULL: no change. */
enum err path_edit_compile(const Nantian__Config__V1__PathModifier *message, struct arena *arena,
                           struct path_edit *ret_edit, struct fault *fault);
/* The path that results, in the exchange's arena. It starts from the path that was matched, so that
 * a rule's and a backend's rewrite mean the same prefix. */
struct text path_edit_apply(const struct path_edit *edit, const struct exchange *x);
/* A host name, or an address, without port. */
bool path_edit_host_is_valid(struct text host);
