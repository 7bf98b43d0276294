/* Widths are those of the longest cell, in characters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

void table_init(struct table *table, struct arena *arena, const char *const *heads)
{
    struct text cells[TABLE_COLUMNS];
    *table = (struct table){.arena = arena};
    while (heads[table->columns] != NULL) {
        cells[table->columns] = text_of(heads[table->columns]);
        table->columns++;
    }
    table_add(table, cells, table->columns);
}

void table_fini(struct table *table)
{
    free(table->rows);
    *table = (struct table){0};
}

void table_add(struct table *table, const struct text *cells, size_t count)
{
    table->rows = memory_grow(table->rows, table->count, &table->cap, sizeof(*table->rows));
    struct text *row = table->rows[table->count++];
    for (size_t i = 0; i < TABLE_COLUMNS; i++)
        row[i] = i < count ? arena_text(table->arena, cells[i]) : TEXT_NONE;
}

/* UTF-8 characters, not bytes. */
static size_t width(struct text text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

void table_print(const struct table *table)
{
    size_t widths[TABLE_COLUMNS] = {0};
    for (size_t row = 0; row < table->count; row++)
        for (size_t i = 0; i < table->columns; i++)
            widths[i] = MAX(widths[i], width(table->rows[row][i]));
    for (size_t row = 0; row < table->count; row++) {
        for (size_t i = 0; i < table->columns; i++) {
            struct text cell = table->rows[row][i];
            int pad = i + 1 < table->columns ? (int)(widths[i] - width(cell)) + 3 : 0;
            printf(TEXT_FMT "%*s", TEXT_ARG(cell), pad, "");
        }
        putchar('\n');
    }
}
