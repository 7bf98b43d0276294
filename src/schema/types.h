/* The types of resources: their numbers, names and type URLs, and the order in which they travel.
 * Used wherever a resource is named: both planes, xDS, the state file. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/text.h"

/* Also written to the state file: numbers are never given to another type. */
enum resource_type {
    RESOURCE_LISTENER = 0,
    RESOURCE_ROUTE = 1,
    RESOURCE_BACKEND = 2,
    RESOURCE_ENDPOINTS = 3,
    RESOURCE_SECRET = 4,
    RESOURCE_POLICY = 5,
    RESOURCE_SNAPSHOT = 6, /* the commit record: one resource, TYPES_SNAPSHOT_NAME */
    RESOURCE_TYPES = 7,    /* how many */
};

#define TYPES_URL_PREFIX    "type.googleapis.com/"
#define TYPES_SNAPSHOT_NAME "snapshot"

/* All but the commit record: as many stand in front of the push order. */
#define RESOURCE_CONTENT_TYPES (RESOURCE_TYPES - 1)

/* Who is needed comes before who needs it; Snapshot is last. RESOURCE_TYPES long. */
const enum resource_type *types_push_order(void);

const char *types_name(enum resource_type type);      /* "Route" */
const char *types_full_name(enum resource_type type); /* "nantian.config.v1.Route" */
const char *types_url(enum resource_type type); /* "type.googleapis.com/nantian.config.v1.Route" */
MUST_USE bool types_from_url(struct text url, enum resource_type *ret_type);
MUST_USE bool types_from_full_name(struct text name, enum resource_type *ret_type);
MUST_USE bool types_from_name(struct text name, enum resource_type *ret_type);

/* 1 to LIMIT_RESOURCE_NAME bytes, printable UTF-8 without blanks at either end. */
bool types_name_is_valid(struct text name);
