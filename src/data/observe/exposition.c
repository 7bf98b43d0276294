/* Merges the workers' entries by their labels and writes them, sorted, in the text format 0.0.4. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/observe/exposition.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"

/* All workers' entries with equal labels. */
struct merged {
    char *key; /* owns: gateway, listener, label with \1 between */
    const struct metrics_route *first;
    const struct metrics_route **parts;
    size_t count, cap;
};

static const char *const METHOD_LABELS[METRICS_METHODS] = {
    "_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
};
static const char *const CLASS_LABELS[METRICS_CLASSES] = {
    "none", "1xx", "2xx", "3xx", "4xx", "5xx",
};
static const char *const ERROR_LABELS[METRICS_CLASSES] = {
    "client_closed", "", "", "", "", "5xx",
};
static const char *const DURATION_LABELS[METRICS_DURATIONS + 1] = {
    "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5",
    "0.75",  "1",    "2.5",   "5",    "7.5",   "10",  "+Inf",
};
static const char *const SIZE_LABELS[METRICS_SIZES + 1] = {
    "0", "100", "1000", "10000", "100000", "1e+06", "1e+07", "1e+08", "+Inf",
};

void exposition_escape(struct builder *out, struct text value)
{
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.data[i];
        if (byte == '\\' || byte == '"')
            builder_add_char(out, '\\');
        if (byte == '\n')
            builder_add(out, TEXT("\\n"));
        else
            builder_add_char(out, byte);
    }
}

static void family(struct builder *out, const char *name, const char *type, const char *help)
{
    builder_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(struct builder *out, const char *name, struct text value)
{
    builder_add_string(out, name);
    builder_add(out, TEXT("=\""));
    exposition_escape(out, value);
    builder_add_char(out, '"');
}

static void entry_labels(struct builder *out, const struct metrics_route *entry, bool with_route)
{
    label(out, "gateway", entry->gateway);
    label(out, ",listener", entry->listener);
    if (with_route)
        label(out, ",route", entry->label);
}

/* -- merging -- */

static void merge_entry(struct map *map, const struct metrics_route *entry)
{
    struct builder key = {0};
    builder_add(&key, entry->gateway);
    builder_add_char(&key, '\1');
    builder_add(&key, entry->listener);
    builder_add_char(&key, '\1');
    builder_add(&key, entry->label);
    struct merged *merged = map_get(map, builder_text(&key));
    if (merged == NULL) {
        merged = memory_new(struct merged);
        merged->key = memory_string(builder_text(&key));
        merged->first = entry;
        map_put(map, text_of(merged->key), merged);
    }
    merged->parts =
        memory_grow(merged->parts, merged->count, &merged->cap, sizeof(struct metrics_route *));
    merged->parts[merged->count++] = entry;
    builder_fini(&key);
}

static void merge_chunks(struct map *map, struct metrics *worker,
                         struct metrics_chunk *_Atomic *chunks)
{
    for (uint32_t i = 0; i < METRICS_CHUNKS; i++) {
        struct metrics_chunk *chunk = atomic_load_explicit(&chunks[i], memory_order_acquire);
        for (uint32_t j = 0; chunk != NULL && j < METRICS_CHUNK; j++) {
            struct metrics_route *entry =
                atomic_load_explicit(&chunk->items[j], memory_order_acquire);
            if (entry != NULL && entry != &worker->overflow && entry != &worker->gone)
                merge_entry(map, entry);
        }
    }
}

static struct merged **merge(const struct exposition *exposition, size_t *ret_count)
{
    struct map map;
    map_init(&map);
    for (uint32_t i = 0; i < exposition->worker_count; i++) {
        struct metrics *worker = exposition->workers[i];
        merge_chunks(&map, worker, worker->routes);
        merge_chunks(&map, worker, worker->listeners);
        merge_entry(&map, &worker->overflow);
    }
    void **sorted = map_sorted(&map, ret_count);
    map_fini(&map);
    return (struct merged **)sorted;
}

static void merged_free(struct merged **all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(all[i]->key);
        free(all[i]->parts);
        free(all[i]);
    }
    free(all);
}

/* -- histograms -- */

struct sums {
    uint64_t buckets[METRICS_DURATIONS + 1];
    uint64_t count, sum;
};

static void sum_duration(struct sums *sums, const struct metrics_duration *duration)
{
    if (duration == NULL)
        return;
    for (int i = 0; i <= METRICS_DURATIONS; i++) {
        uint64_t value = metrics_read(&duration->buckets[i]);
        sums->buckets[i] += value;
        sums->count += value;
    }
    sums->sum += metrics_read(&duration->sum_ns);
}

static void sum_size(struct sums *sums, const struct metrics_size *size)
{
    for (int i = 0; i <= METRICS_SIZES; i++) {
        uint64_t value = metrics_read(&size->buckets[i]);
        sums->buckets[i] += value;
        sums->count += value;
    }
    sums->sum += metrics_read(&size->sum);
}

static void histogram(struct builder *out, const char *name, struct text labels,
                      const struct sums *sums, const char *const *bounds, int bound_count)
{
    uint64_t total = 0;
    for (int i = 0; i <= bound_count; i++) {
        total += sums->buckets[i];
        builder_printf(out, "%s_bucket{" TEXT_FMT ",le=\"%s\"} %llu\n", name, TEXT_ARG(labels),
                       bounds[i], (unsigned long long)total);
    }
    bool is_time = bound_count == METRICS_DURATIONS;
    builder_printf(out, "%s_sum{" TEXT_FMT "} ", name, TEXT_ARG(labels));
    if (is_time)
        builder_printf(out, "%llu.%09llu\n", (unsigned long long)(sums->sum / 1000000000),
                       (unsigned long long)(sums->sum % 1000000000));
    else
        builder_printf(out, "%llu\n", (unsigned long long)sums->sum);
    builder_printf(out, "%s_count{" TEXT_FMT "} %llu\n", name, TEXT_ARG(labels),
                   (unsigned long long)total);
}

static void write_class(struct builder *out, int class)
{
    builder_printf(out, ",http_response_status_code=\"%s\",error_type=\"%s\"", CLASS_LABELS[class],
                   ERROR_LABELS[class]);
}

static void write_requests(struct merged **all, size_t count, struct builder *out)
{
    struct builder labels = {0};
    family(out, "http_server_request_duration_seconds", "histogram",
           "Time from a request's head to the last byte of its response.");
    for (size_t i = 0; i < count * METRICS_METHODS * METRICS_CLASSES; i++) {
        struct merged *merged = all[i / (METRICS_METHODS * METRICS_CLASSES)];
        int method = (int)(i / METRICS_CLASSES % METRICS_METHODS);
        int class = (int)(i % METRICS_CLASSES);
        struct sums sums = {0};
        for (size_t j = 0; j < merged->count; j++) {
            struct metrics_duration *_Atomic const *place =
                &merged->parts[j]->requests[method][class];
            sum_duration(&sums, atomic_load_explicit(place, memory_order_acquire));
        }
        if (sums.count == 0)
            continue;
        builder_clear(&labels);
        entry_labels(&labels, merged->first, true);
        builder_printf(&labels, ",http_request_method=\"%s\"", METHOD_LABELS[method]);
        write_class(&labels, class);
        histogram(out, "http_server_request_duration_seconds", builder_text(&labels), &sums,
                  DURATION_LABELS, METRICS_DURATIONS);
    }
    builder_fini(&labels);
}

static void write_sizes(struct merged **all, size_t count, bool is_request, struct builder *out)
{
    const char *name =
        is_request ? "http_server_request_body_size_bytes" : "http_server_response_body_size_bytes";
    struct builder labels = {0};
    family(out, name, "histogram",
           is_request ? "Bytes of request bodies." : "Bytes of response bodies.");
    for (size_t i = 0; i < count; i++) {
        struct sums sums = {0};
        for (size_t j = 0; j < all[i]->count; j++)
            sum_size(&sums, is_request ? &all[i]->parts[j]->request_bytes
                                       : &all[i]->parts[j]->response_bytes);
        if (sums.count == 0)
            continue;
        builder_clear(&labels);
        entry_labels(&labels, all[i]->first, true);
        histogram(out, name, builder_text(&labels), &sums, SIZE_LABELS, METRICS_SIZES);
    }
    builder_fini(&labels);
}

static void write_active(struct merged **all, size_t count, struct builder *out)
{
    family(out, "http_server_active_requests", "gauge", "Requests under way.");
    for (size_t i = 0; i < count; i++) {
        uint64_t begun = 0, ended = 0;
        for (size_t j = 0; j < all[i]->count; j++) {
            ended += metrics_read(&all[i]->parts[j]->active_ended);
            begun += metrics_read(&all[i]->parts[j]->active_begun);
        }
        if (begun == 0)
            continue;
        builder_add(out, TEXT("http_server_active_requests{"));
        entry_labels(out, all[i]->first, false);
        builder_printf(out, "} %llu\n", (unsigned long long)(begun > ended ? begun - ended : 0));
    }
}

static uint64_t sum_counter(const struct merged *merged, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i < merged->count; i++)
        total += metrics_read((const void *)((const char *)merged->parts[i] + offset));
    return total;
}

/* TCP, TLS and UDP. What is open ended later than it began: read in that order. */
static void write_sessions(struct merged **all, size_t count, struct builder *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } FAMILIES[] = {
        {"nantian_l4_sessions_total", "TCP and TLS connections and UDP flows begun.",
         offsetof(struct metrics_route, sessions_begun)},
        {"nantian_l4_sessions_ended_total", "TCP and TLS connections and UDP flows ended.",
         offsetof(struct metrics_route, sessions_ended)},
        {"nantian_l4_received_bytes_total", "Bytes from clients of ended sessions.",
         offsetof(struct metrics_route, session_received)},
        {"nantian_l4_sent_bytes_total", "Bytes to clients of ended sessions.",
         offsetof(struct metrics_route, session_sent)},
    };
    for (size_t i = 0; i < ARRAY_LEN(FAMILIES); i++) {
        family(out, FAMILIES[i].name, "counter", FAMILIES[i].help);
        for (size_t j = 0; j < count; j++) {
            if (sum_counter(all[j], offsetof(struct metrics_route, sessions_begun)) == 0)
                continue;
            builder_printf(out, "%s{", FAMILIES[i].name);
            entry_labels(out, all[j]->first, true);
            builder_printf(out, "} %llu\n",
                           (unsigned long long)sum_counter(all[j], FAMILIES[i].offset));
        }
    }
}

static void write_flags(struct merged **all, size_t count, struct builder *out)
{
    family(out, "nantian_responses_total", "counter",
           "Requests that the gateway answered or cut itself, by response flag.");
    for (size_t i = 0; i < count * FLAG_COUNT; i++) {
        struct merged *merged = all[i / FLAG_COUNT];
        enum response_flag flag = (enum response_flag)(i % FLAG_COUNT);
        uint64_t total = 0;
        for (size_t j = 0; j < merged->count; j++)
            total += metrics_read(&merged->parts[j]->flags[flag]);
        if (total == 0 || flag == FLAG_NONE)
            continue;
        builder_add(out, TEXT("nantian_responses_total{"));
        entry_labels(out, merged->first, true);
        builder_printf(out, ",flag=\"%s\"} %llu\n", response_flag_name(flag),
                       (unsigned long long)total);
    }
}

static void write_rates(struct merged **all, size_t count, struct builder *out)
{
    family(out, "nantian_ratelimit_total", "counter",
           "Requests that a rate limit was asked about, by what it said.");
    for (size_t i = 0; i < count * 2; i++) {
        const struct merged *merged = all[i / 2];
        bool is_limited = i % 2 == 1;
        uint64_t total =
            sum_counter(merged, is_limited ? offsetof(struct metrics_route, rate_limited)
                                           : offsetof(struct metrics_route, rate_allowed));
        if (total == 0)
            continue;
        builder_add(out, TEXT("nantian_ratelimit_total{"));
        entry_labels(out, merged->first, true);
        builder_printf(out, ",result=\"%s\"} %llu\n", is_limited ? "limited" : "allowed",
                       (unsigned long long)total);
    }
}

/* The names are those of the protocol; its clients' logs say them, too. */
static const char *const RPC_LABELS[METRICS_RPC] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

static void write_rpc(struct merged **all, size_t count, struct builder *out)
{
    family(out, "nantian_grpc_responses_total", "counter",
           "Calls of gRPC and gRPC-Web that ended with a status.");
    for (size_t i = 0; i < count * METRICS_RPC; i++) {
        const struct merged *merged = all[i / METRICS_RPC];
        uint64_t total = 0;
        for (size_t j = 0; j < merged->count; j++) {
            const struct metrics_rpc *rpc =
                atomic_load_explicit(&merged->parts[j]->rpc, memory_order_acquire);
            total += rpc == NULL ? 0 : metrics_read(&rpc->ended[i % METRICS_RPC]);
        }
        if (total == 0)
            continue;
        builder_add(out, TEXT("nantian_grpc_responses_total{"));
        entry_labels(out, merged->first, true);
        builder_printf(out, ",grpc_status=\"%s\"} %llu\n", RPC_LABELS[i % METRICS_RPC],
                       (unsigned long long)total);
    }
}

/* -- tries -- */

struct try_list {
    const struct metrics_backend **items;
    size_t count, cap;
};

static void list_tries(const struct merged *merged, struct try_list *list)
{
    list->count = 0;
    for (size_t i = 0; i < merged->count; i++) {
        const struct metrics_backend *backend =
            atomic_load_explicit(&merged->parts[i]->backends, memory_order_acquire);
        for (; backend != NULL;
             backend = atomic_load_explicit(&backend->next, memory_order_acquire)) {
            list->items = memory_grow(list->items, list->count, &list->cap, sizeof(*list->items));
            list->items[list->count++] = backend;
        }
    }
}

static bool is_first_of_name(const struct try_list *list, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (text_equal(list->items[i]->name, list->items[at]->name))
            return false;
    return true;
}

static void write_backend_tries(const struct merged *merged, const struct try_list *list,
                                struct text name, struct builder *out)
{
    struct builder labels = {0};
    for (int i = 0; i < METRICS_CLASSES * 2; i++) {
        int class = i / 2, resend = i % 2;
        struct sums sums = {0};
        for (size_t j = 0; j < list->count; j++)
            if (text_equal(list->items[j]->name, name))
                sum_duration(&sums, atomic_load_explicit(&list->items[j]->tries[class][resend],
                                                         memory_order_acquire));
        if (sums.count == 0)
            continue;
        builder_clear(&labels);
        entry_labels(&labels, merged->first, true);
        label(&labels, ",backend", name);
        write_class(&labels, class);
        builder_printf(&labels, ",resend=\"%s\"", resend == 1 ? "true" : "false");
        histogram(out, "http_client_request_duration_seconds", builder_text(&labels), &sums,
                  DURATION_LABELS, METRICS_DURATIONS);
    }
    builder_fini(&labels);
}

static void write_tries(struct merged **all, size_t count, struct builder *out)
{
    struct try_list list = {0};
    family(out, "http_client_request_duration_seconds", "histogram",
           "Time of each try at a backend, to the last byte of its response.");
    for (size_t i = 0; i < count; i++) {
        list_tries(all[i], &list);
        for (size_t j = 0; j < list.count; j++)
            if (is_first_of_name(&list, j))
                write_backend_tries(all[i], &list, list.items[j]->name, out);
    }
    family(out, "nantian_retries_total", "counter", "Tries at a backend that were repeated.");
    for (size_t i = 0; i < count; i++) {
        list_tries(all[i], &list);
        for (size_t j = 0; j < list.count; j++) {
            uint64_t total = 0;
            for (size_t k = 0; k < list.count; k++)
                if (text_equal(list.items[k]->name, list.items[j]->name))
                    total += metrics_read(&list.items[k]->retries);
            if (total == 0 || !is_first_of_name(&list, j))
                continue;
            builder_add(out, TEXT("nantian_retries_total{"));
            entry_labels(out, all[i]->first, true);
            label(out, ",backend", list.items[j]->name);
            builder_printf(out, "} %llu\n", (unsigned long long)total);
        }
    }
    free(list.items);
}

/* -- doors -- */

struct door_sum {
    struct text address;
    uint64_t opened, closed;
};

static struct metrics_door *doors_of(struct metrics *worker)
{
    return atomic_load_explicit(&worker->doors, memory_order_acquire);
}

static struct metrics_door *next_door(const struct metrics_door *door)
{
    return atomic_load_explicit(&door->next, memory_order_acquire);
}

static struct door_sum *sum_doors(const struct exposition *exposition, size_t *ret_count)
{
    struct door_sum *sums = NULL;
    size_t count = 0, cap = 0;
    for (uint32_t i = 0; i < exposition->worker_count; i++) {
        struct metrics_door *door = doors_of(exposition->workers[i]);
        for (; door != NULL; door = next_door(door)) {
            size_t at = 0;
            while (at < count && !text_equal(sums[at].address, door->address))
                at++;
            if (at == count) {
                sums = memory_grow(sums, count, &cap, sizeof(*sums));
                sums[count++] = (struct door_sum){.address = door->address};
            }
            sums[at].closed += metrics_read(&door->closed);
            sums[at].opened += metrics_read(&door->opened);
        }
    }
    *ret_count = count;
    return sums;
}

static void door_line(struct builder *out, const char *name, struct text address, uint64_t value)
{
    builder_add_string(out, name);
    builder_add_char(out, '{');
    label(out, "listener", address);
    builder_printf(out, "} %llu\n", (unsigned long long)value);
}

/* One of a door's two lists. */
static struct metrics_reason *reasons_of(struct metrics_door *door, bool is_handshake)
{
    return is_handshake ? door->failed_handshakes : door->refused;
}

static uint64_t sum_reason(const struct exposition *exposition, bool is_handshake,
                           struct text address, const char *reason)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < exposition->worker_count; i++) {
        struct metrics_door *door = doors_of(exposition->workers[i]);
        for (; door != NULL; door = next_door(door)) {
            if (!text_equal(door->address, address))
                continue;
            for (int j = 0; j < METRICS_REASONS; j++) {
                struct metrics_reason *at = &reasons_of(door, is_handshake)[j];
                const char *known = atomic_load_explicit(&at->reason, memory_order_acquire);
                if (known != NULL && strcmp(known, reason) == 0)
                    total += metrics_read(&at->count);
            }
        }
    }
    return total;
}

/* Each (address, reason) once: when an earlier door has had it, it is skipped. */
static void write_reasons(const struct exposition *exposition, bool is_handshake, const char *name,
                          struct builder *out)
{
    struct map seen;
    struct arena arena;
    map_init(&seen);
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < exposition->worker_count; i++) {
        struct metrics_door *door = doors_of(exposition->workers[i]);
        for (; door != NULL; door = next_door(door)) {
            for (int j = 0; j < METRICS_REASONS; j++) {
                const char *reason = atomic_load_explicit(&reasons_of(door, is_handshake)[j].reason,
                                                          memory_order_acquire);
                if (reason == NULL)
                    break;
                struct text key =
                    arena_printf(&arena, TEXT_FMT " %s", TEXT_ARG(door->address), reason);
                if (map_put(&seen, key, door) != NULL)
                    continue;
                uint64_t total = sum_reason(exposition, is_handshake, door->address, reason);
                builder_printf(out, "%s{", name);
                label(out, "listener", door->address);
                label(out, ",reason", text_of(reason));
                builder_printf(out, "} %llu\n", (unsigned long long)total);
            }
        }
    }
    map_fini(&seen);
    arena_fini(&arena);
}

static void write_handshakes(const struct exposition *exposition, struct text address,
                             struct builder *out)
{
    struct builder labels = {0};
    struct sums sums = {0};
    for (uint32_t i = 0; i < exposition->worker_count; i++) {
        struct metrics_door *door = doors_of(exposition->workers[i]);
        for (; door != NULL; door = next_door(door))
            if (text_equal(door->address, address))
                sum_duration(&sums, &door->handshakes);
    }
    label(&labels, "listener", address);
    if (sums.count > 0)
        histogram(out, "nantian_tls_handshake_duration_seconds", builder_text(&labels), &sums,
                  DURATION_LABELS, METRICS_DURATIONS);
    builder_fini(&labels);
}

static void write_doors(const struct exposition *exposition, struct builder *out)
{
    size_t count;
    struct door_sum *sums = sum_doors(exposition, &count);
    family(out, "nantian_downstream_connections", "gauge", "Client connections open now.");
    for (size_t i = 0; i < count; i++)
        door_line(out, "nantian_downstream_connections", sums[i].address,
                  sums[i].opened > sums[i].closed ? sums[i].opened - sums[i].closed : 0);
    family(out, "nantian_downstream_connections_total", "counter", "Client connections accepted.");
    for (size_t i = 0; i < count; i++)
        door_line(out, "nantian_downstream_connections_total", sums[i].address, sums[i].opened);
    family(out, "nantian_tls_handshake_duration_seconds", "histogram",
           "From accepting a client's connection to the end of its TLS handshake.");
    for (size_t i = 0; i < count; i++)
        write_handshakes(exposition, sums[i].address, out);
    free(sums);
    family(out, "nantian_tls_handshake_errors_total", "counter",
           "TLS handshakes of clients that failed, by reason.");
    write_reasons(exposition, true, "nantian_tls_handshake_errors_total", out);
    family(out, "nantian_requests_refused_total", "counter",
           "Requests refused before routing, by reason.");
    write_reasons(exposition, false, "nantian_requests_refused_total", out);
}

/* -- the process -- */

static double open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return 0;
    int count = -3; /* ".", ".." and the directory itself */
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void read_memory(double *ret_virtual, double *ret_resident)
{
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &pages, &resident) != 2)
            pages = resident = 0;
        fclose(file);
    }
    *ret_virtual = (double)pages * (double)sysconf(_SC_PAGESIZE);
    *ret_resident = (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void write_sample(struct builder *out, const struct exposition_sample *sample)
{
    if (sample->help != NULL)
        family(out, sample->name, sample->kind == EXPOSITION_COUNTER ? "counter" : "gauge",
               sample->help);
    if (sample->labels != NULL)
        builder_printf(out, "%s{%s} %.15g\n", sample->name, sample->labels, sample->value);
    else
        builder_printf(out, "%s %.15g\n", sample->name, sample->value);
}

static void write_process(const struct exposition *exposition, struct builder *out)
{
    struct rusage usage = {0};
    struct rlimit limit = {0};
    double virtual, resident;
    getrusage(RUSAGE_SELF, &usage);
    getrlimit(RLIMIT_NOFILE, &limit);
    read_memory(&virtual, &resident);
    const struct exposition_sample samples[] = {
        {"process_cpu_seconds_total", "Processor time of user and system.", EXPOSITION_COUNTER,
         NULL, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime)},
        {"process_resident_memory_bytes", "Memory in use.", EXPOSITION_GAUGE, NULL, resident},
        {"process_virtual_memory_bytes", "Address space in use.", EXPOSITION_GAUGE, NULL, virtual},
        {"process_open_fds", "Open file descriptors.", EXPOSITION_GAUGE, NULL, open_descriptors()},
        {"process_max_fds", "Bound of open file descriptors.", EXPOSITION_GAUGE, NULL,
         (double)limit.rlim_cur},
        {"process_start_time_seconds", "Start of the process since 1970.", EXPOSITION_GAUGE, NULL,
         (double)exposition->started_wall_ns / 1e9},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        write_sample(out, &samples[i]);
    family(out, "nantian_build_info", "gauge", "What is running; the value is always 1.");
    builder_printf(out, "nantian_build_info{version=\"%s\",tls_library=\"%s\"} 1\n",
                   exposition->version, exposition->tls_library);
}

static void write_workers(const struct exposition *exposition, struct builder *out)
{
    uint64_t lines = 0, dropped = 0, limited = 0;
    for (uint32_t i = 0; i < exposition->worker_count; i++) {
        lines += metrics_read(&exposition->workers[i]->log_lines);
        dropped += metrics_read(&exposition->workers[i]->log_dropped);
        limited += metrics_read(&exposition->workers[i]->connections_limited);
    }
    const struct exposition_sample samples[] = {
        {"nantian_workers", "Threads that serve.", EXPOSITION_GAUGE, NULL,
         exposition->worker_count},
        {"nantian_access_log_lines_total", "Access log lines made.", EXPOSITION_COUNTER, NULL,
         (double)lines},
        {"nantian_access_log_dropped_total", "Access log lines lost to a slow sink.",
         EXPOSITION_COUNTER, NULL, (double)dropped},
        {"nantian_downstream_connections_limited_total",
         "Client connections closed at accept because of a limit.", EXPOSITION_COUNTER, NULL,
         (double)limited},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        write_sample(out, &samples[i]);
}

static void write_mirrors(const struct exposition *exposition, struct builder *out)
{
    static const char *const RESULTS[MIRROR_RESULTS] = {"answered", "failed", "slow", "cut",
                                                        "overflow"};
    family(out, "nantian_mirrored_requests_total", "counter",
           "Copies of requests for mirrors, by how they ended.");
    for (int result = 0; result < MIRROR_RESULTS; result++) {
        uint64_t total = 0;
        for (uint32_t i = 0; i < exposition->worker_count; i++)
            total += metrics_read(&exposition->workers[i]->mirrors[result]);
        builder_printf(out, "nantian_mirrored_requests_total{result=\"%s\"} %llu\n",
                       RESULTS[result], (unsigned long long)total);
    }
}

void exposition_write(const struct exposition *exposition, struct builder *out)
{
    size_t count;
    struct merged **all = merge(exposition, &count);
    write_requests(all, count, out);
    write_active(all, count, out);
    write_sizes(all, count, true, out);
    write_sizes(all, count, false, out);
    write_tries(all, count, out);
    write_sessions(all, count, out);
    write_flags(all, count, out);
    write_rates(all, count, out);
    write_rpc(all, count, out);
    merged_free(all, count);
    write_doors(exposition, out);
    write_workers(exposition, out);
    write_mirrors(exposition, out);
    for (size_t i = 0; i < exposition->sample_count; i++)
        write_sample(out, &exposition->samples[i]);
    write_process(exposition, out);
    family(out, "nantian_metrics_entries", "gauge", "Labelled sets of counters kept.");
    builder_printf(out, "nantian_metrics_entries %zu\n", count);
}
