/* Which file provides an object when several hold it: the one whose name sorts first. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "control/store/store.h"

struct holdings;

/* One object in one file. Owned by the holdings until withdrawn. */
struct holding {
    struct holding *next;       /* of the same object, by file name */
    struct kind_object *object; /* owns one count */
    char *file;
    uint32_t form; /* of the file, which it is from; the holder's to use */
    struct text key;
};

struct holdings *holdings_new(void);
void holdings_free(struct holdings *holdings);
/* Made, but not counted yet; takes a count of `object`. */
struct holding *holdings_make(struct holdings *holdings, struct text file,
                              struct kind_object *object);
/* Counts from now on. False: another file's holding goes before it. */
bool holdings_enter(struct holdings *holdings, struct holding *holding);
/* The first of this object that this file has entered, or NULL. */
struct holding *holdings_find(const struct holdings *holdings, const char *file,
                              const struct kind_object *object);
/* Ends and frees it. */
void holdings_withdraw(struct holdings *holdings, struct holding *holding);
/* The file that provides this holding's object now. */
const char *holdings_winner_file(const struct holdings *holdings, const struct holding *holding);
/* Brings the store in line with the holdings that changed since the last time. */
void holdings_settle(struct holdings *holdings, struct store *store, int64_t now);
