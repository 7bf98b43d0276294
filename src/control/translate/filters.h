/* Filters of rules and of backend references: one case a type. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/kind/filter.h"
#include "control/translate/policies.h"

struct filters_list {
    const struct kind_filter *items;
    size_t count;
    struct text field; /* of what they belong to */
    bool is_of_backend;
};

enum filters_verdict {
    FILTERS_GOOD,
    FILTERS_DROP, /* the rule was reported as dropped */
    FILTERS_FAIL, /* a filter could not be found: requests get 500 */
};

enum filters_verdict filters_of_rule(struct route_build *build, const struct filters_list *list,
                                     struct route_own *own, Nantian__Config__V1__Route *rule);
/* False: the reference cannot be used. */
bool filters_of_backend(struct route_build *build, const struct filters_list *list,
                        Nantian__Config__V1__WeightedBackend *backend);
