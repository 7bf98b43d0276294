/* A configuration error, written once and shown three times: status condition, NACK, command line.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/text.h"

enum fault_level { FAULT_ERROR, FAULT_WARNING, FAULT_NOTE };

struct fault {
    enum fault_level level;
    const char *code;      /* static, stable: "UnknownField", "BackendNotFound" */
    struct text where;     /* "HTTPRoute shop/cart rules[2].filters[0]" or a resource name */
    struct text field;     /* "spec.rules[2].filters[0].type", may be empty */
    struct text what;      /* one sentence */
    struct text hint;      /* what to do; may be empty */
    struct text file;      /* may be empty */
    uint32_t line, column; /* 0: unknown */
    bool is_local;         /* of this machine, now: a port that another program has */
};

/* Faults in the order found, all text in `arena`; at most LIMIT_FAULTS are kept, the rest counted.
 */
struct faults {
    struct arena *arena; /* borrows */
    struct fault *items;
    size_t count, cap;
    size_t dropped;
};

void faults_init(struct faults *faults, struct arena *arena);
void faults_fini(struct faults *faults);
/* Copies what `fault` points to; `what` is made from the format. */
void faults_add(struct faults *faults, const struct fault *fault, const char *what, ...)
    PRINTF_LIKE(3, 4);
/* Copies one that is complete. */
void faults_copy(struct faults *faults, const struct fault *fault);
