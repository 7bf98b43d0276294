/* The counters of all workers as Prometheus text. Called on the main thread while workers count. */
/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/builder.h"
#include "data/observe/metrics.h"

/* Families that others own (configuration, pools): one sample, or several of one family. */
enum exposition_kind { EXPOSITION_COUNTER, EXPOSITION_GAUGE };
struct exposition_sample {
    const char *name;
    const char *help; /* NULL: the family of the sample before */
    enum exposition_kind kind;
    const char *labels; /* "result=\"new\"", escaped already; NULL: none */
    double value;
};

struct exposition {
    struct metrics *const *workers;
    uint32_t worker_count;
    const struct exposition_sample *samples;
    size_t sample_count;
    const char *version, *tls_library;
    uint64_t started_wall_ns;
};

void exposition_write(const struct exposition *exposition, struct builder *out);
/* One label value: backslash, quote and line feed are escaped. */
void exposition_escape(struct builder *out, struct text value);
