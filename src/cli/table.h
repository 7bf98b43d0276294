/* Columns that line up. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"

#define TABLE_COLUMNS 8

struct table {
    struct arena *arena; /* borrows; holds the cells */
    struct text (*rows)[TABLE_COLUMNS];
    size_t count, cap;
    size_t columns;
};

void table_init(struct table *table, struct arena *arena, const char *const *heads);
void table_fini(struct table *table);
/* A new row; cells are copied, the missing ones are empty. */
void table_add(struct table *table, const struct text *cells, size_t count);
void table_print(const struct table *table);
