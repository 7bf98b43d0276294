/* Which file provides an object when several hold it: the one whose name sorts first. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

struct claims;

/* One object in one file. Owned by the claims until withdrawn. */
struct claim {
    struct claim *next;         /* of the same object, by file name */
    struct kind_object *object; /* owns one count */
    char *file;
    struct text key;
};

struct claims *claims_new(void);
void claims_free(struct claims *claims);
/* Made, but not counted yet; takes a count of `object`. */
struct claim *claims_make(struct claims *claims, struct text file, struct kind_object *object);
/* Counts from now on. False: another file's claim goes before it. */
bool claims_enter(struct claims *claims, struct claim *claim);
/* Ends and frees it. */
void claims_withdraw(struct claims *claims, struct claim *claim);
/* The file that provides this claim's object now. */
const char *claims_winner_file(const struct claims *claims, const struct claim *claim);
/* Brings the store in line with the claims that changed since the last time. */
void claims_settle(struct claims *claims, struct store *store, int64_t now);
