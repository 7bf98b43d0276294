/* Collects configuration errors, bounded. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

void faults_init(struct faults *faults, struct arena *arena)
{
    *faults = (struct faults){.arena = arena};
}

void faults_fini(struct faults *faults)
{
    if (faults == NULL)
        return;
    free(faults->items);
    *faults = (struct faults){0};
}

void faults_copy(struct faults *faults, const struct fault *fault)
{
    if (faults->count >= LIMIT_FAULTS) {
        faults->dropped++;
        return;
    }
    faults->items = memory_grow(faults->items, faults->count, &faults->cap, sizeof(struct fault));
    struct fault *copy = &faults->items[faults->count++];
    *copy = *fault;
    copy->where = arena_text(faults->arena, fault->where);
    copy->field = arena_text(faults->arena, fault->field);
    copy->what = arena_text(faults->arena, fault->what);
    copy->hint = arena_text(faults->arena, fault->hint);
    copy->file = arena_text(faults->arena, fault->file);
}

void faults_add(struct faults *faults, const struct fault *fault, const char *what, ...)
{
    if (faults->count >= LIMIT_FAULTS) {
        faults->dropped++;
        return;
    }
    va_list args;
    va_start(args, what);
    struct fault copy = *fault;
    copy.what = arena_vprintf(faults->arena, what, args);
    va_end(args);
    faults_copy(faults, &copy);
}
