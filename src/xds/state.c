/* The format of the state file, its reading and its atomic replacement.
 *
 * Header, little endian: magic (8), format (4), zero (4), payload bytes (8), resources (8), digest
 * (16). Payload: the resources (state_record.h). The digest is a chain over blocks of BLOCK bytes,
 * each hashed behind the digest before it, the first behind the header's own front. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/limits.h"
#include "base/memory.h"
#include "xds/state_log.h"

#define HEADER_BYTES 48
#define HEADER_FRONT 32
#define BLOCK        (1u << 20)

static const char MAGIC[8] = {'N', 'A', 'N', 'T', 'I', 'A', 'N', 1};

/* -- the chained digest -- */

struct chain {
    struct builder block; /* the digest so far, then the bytes of this block */
    struct digest digest;
};

static void chain_close(struct chain *chain)
{
    if (chain->block.len > 0)
        chain->digest = hash_digest(builder_text(&chain->block));
    builder_clear(&chain->block);
}

static void chain_add(struct chain *chain, struct text bytes)
{
    while (bytes.len > 0) {
        if (chain->block.len == 0) {
            char *at = builder_reserve(&chain->block, 16);
            state_record_put_u64(at, chain->digest.high);
            state_record_put_u64(at + 8, chain->digest.low);
            chain->block.len = 16;
        }
        size_t take = MIN(bytes.len, BLOCK + 16 - chain->block.len);
        builder_add(&chain->block, text_slice(bytes, 0, take));
        bytes = text_slice(bytes, take, bytes.len);
        if (chain->block.len == BLOCK + 16)
            chain_close(chain);
    }
}

/* -- writing -- */

struct writer {
    int fd;
    struct chain chain;
    struct builder buffer;
    const char *why;
};

static void flush(struct writer *writer)
{
    for (size_t at = 0; at < writer->buffer.len && writer->why == NULL;) {
        ssize_t wrote = write(writer->fd, writer->buffer.data + at, writer->buffer.len - at);
        if (wrote >= 0)
            at += (size_t)wrote;
        else if (errno == ENOSPC || errno == EDQUOT)
            writer->why = "the disk is full";
        else if (errno != EINTR)
            writer->why = "the file cannot be written";
    }
    builder_clear(&writer->buffer);
}

static void add_part(struct writer *writer, struct text bytes)
{
    if (bytes.len == 0)
        return;
    chain_add(&writer->chain, bytes);
    builder_add(&writer->buffer, bytes);
    if (writer->buffer.len >= BLOCK)
        flush(writer);
}

static void put_header(char header[HEADER_BYTES], uint64_t payload, size_t count)
{
    memset(header, 0, HEADER_BYTES);
    memcpy(header, MAGIC, sizeof(MAGIC));
    state_record_put_u64(header + 8, STATE_FORMAT);
    state_record_put_u64(header + 16, payload);
    state_record_put_u64(header + 24, count);
}

static void write_all(struct writer *writer, struct resource *const *resources, size_t count)
{
    char header[HEADER_BYTES], front[STATE_RECORD_FRONT], hex[33];
    uint64_t payload = 0;
    for (size_t i = 0; i < count; i++)
        payload += STATE_RECORD_FRONT + (uint64_t)resources[i]->name_len +
                   resources[i]->version_len + resources[i]->bytes_len;
    put_header(header, payload, count);
    chain_add(&writer->chain, text_from(header, HEADER_FRONT));
    builder_add(&writer->buffer, text_from(header, HEADER_BYTES));
    for (size_t i = 0; i < count && writer->why == NULL; i++) {
        const struct resource *one = resources[i];
        state_record_front(one, front);
        add_part(writer, text_from(front, sizeof(front)));
        add_part(writer, resource_name(one));
        if (one->version_len > 0)
            add_part(writer, resource_version(one, hex));
        add_part(writer, resource_bytes(one));
    }
    flush(writer);
    chain_close(&writer->chain);
    state_record_put_u64(header + HEADER_FRONT, writer->chain.digest.high);
    state_record_put_u64(header + HEADER_FRONT + 8, writer->chain.digest.low);
    if (writer->why == NULL && pwrite(writer->fd, header + HEADER_FRONT, 16, HEADER_FRONT) != 16)
        writer->why = "the file cannot be written";
    if (writer->why == NULL && fsync(writer->fd) != 0)
        writer->why = "the file cannot be synced";
}

static int open_directory(const char *directory)
{
    return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static const char *judge_owner(const struct stat *stat)
{
    if (stat->st_uid != geteuid())
        return "it belongs to another user";
    if ((stat->st_mode & 077) != 0)
        return "others have access to it";
    return NULL;
}

const char *state_prepare(const char *directory)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return "the state directory cannot be made";
    int fd = open_directory(directory);
    struct stat stat;
    if (fd < 0)
        return "the state directory cannot be opened";
    const char *why =
        fstat(fd, &stat) != 0 ? "the state directory cannot be read" : judge_owner(&stat);
    if (why == NULL && faccessat(fd, ".", W_OK, 0) != 0)
        why = "the state directory cannot be written";
    close(fd);
    return why;
}

static const char *replace(int dir)
{
    /* A log names the state file that it continues, so none is ever read with another. */
    if (renameat(dir, "snapshot.log", dir, "snapshot.1.log") != 0)
        (void)unlinkat(dir, "snapshot.1.log", 0);
    if (renameat(dir, "snapshot", dir, "snapshot.1") != 0 && errno != ENOENT)
        return "the file before cannot be kept";
    if (renameat(dir, "snapshot.new", dir, "snapshot") != 0)
        return "the file cannot be renamed";
    return fsync(dir) != 0 ? "the state directory cannot be synced" : NULL;
}

const char *state_write(const char *directory, struct resource *const *resources, size_t count,
                        struct digest *ret_digest)
{
    int dir = open_directory(directory);
    if (dir < 0)
        return "the state directory cannot be opened";
    (void)unlinkat(dir, "snapshot.new", 0);
    struct writer writer = {.fd =
                                openat(dir, "snapshot.new",
                                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    const char *why = NULL;
    if (writer.fd < 0) {
        why = errno == ENOSPC ? "the disk is full" : "the file cannot be made";
    } else {
        write_all(&writer, resources, count);
        why = writer.why;
        if (close(writer.fd) != 0 && why == NULL)
            why = "the file cannot be written";
        if (why == NULL)
            why = replace(dir);
        if (why == NULL && ret_digest != NULL)
            *ret_digest = writer.chain.digest;
        if (why != NULL)
            (void)unlinkat(dir, "snapshot.new", 0);
    }
    builder_fini(&writer.buffer);
    builder_fini(&writer.chain.block);
    close(dir);
    return why;
}

/* -- reading -- */

static const char *judge_header(struct text bytes)
{
    if (bytes.len < HEADER_BYTES)
        return "it is cut short";
    if (memcmp(bytes.data, MAGIC, sizeof(MAGIC)) != 0)
        return "it is no state file";
    if (state_record_get(bytes.data + 8, 8) != STATE_FORMAT)
        return "it is of another format";
    if (state_record_get(bytes.data + 16, 8) != bytes.len - HEADER_BYTES)
        return state_record_get(bytes.data + 16, 8) > bytes.len - HEADER_BYTES ? "it is cut short"
                                                                               : "it is too long";
    struct chain chain = {0};
    chain_add(&chain, text_slice(bytes, 0, HEADER_FRONT));
    chain_add(&chain, text_slice(bytes, HEADER_BYTES, bytes.len));
    chain_close(&chain);
    builder_fini(&chain.block);
    if (state_record_get(bytes.data + HEADER_FRONT, 8) != chain.digest.high ||
        state_record_get(bytes.data + HEADER_FRONT + 8, 8) != chain.digest.low)
        return "its digest is wrong";
    return NULL;
}

const char *state_decode(struct text bytes, struct resource_set *set)
{
    const char *why = judge_header(bytes);
    if (why != NULL)
        return why;
    uint64_t count = state_record_get(bytes.data + 24, 8);
    if (count > LIMIT_XDS_RESOURCES)
        return "it holds too many resources";
    struct text rest = text_slice(bytes, HEADER_BYTES, bytes.len);
    for (uint64_t i = 0; i < count && why == NULL; i++)
        why = state_record_apply(&rest, false, set);
    if (why == NULL && rest.len > 0)
        why = "bytes follow the last resource";
    if (why == NULL)
        why = state_record_judge(set);
    if (why != NULL)
        resource_set_clear(set);
    return why;
}

static const char *read_file(int fd, struct builder *out)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        return "it is no regular file";
    const char *why = judge_owner(&stat);
    if (why != NULL)
        return why;
    if (stat.st_size < 0 || (uint64_t)stat.st_size > LIMIT_SNAPSHOT_BYTES)
        return "it is too large";
    builder_reserve(out, (size_t)stat.st_size + 1);
    while (out->len <= (size_t)stat.st_size) {
        ssize_t got = read(fd, out->data + out->len, (size_t)stat.st_size + 1 - out->len);
        if (got == 0)
            return NULL;
        if (got < 0 && errno != EINTR)
            return "it cannot be read";
        out->len += got > 0 ? (size_t)got : 0;
    }
    return "it grew while it was read";
}

static const char NO_FILE[] = "there is none";

/* NULL, or static words. */
static const char *read_named(int dir, const char *name, struct builder *out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? NO_FILE : "it cannot be opened";
    const char *why = read_file(fd, out);
    close(fd);
    return why;
}

/* The log of the state file of that digest, if there is one; the last is cut off where it is bad.
 */
static const char *load_log(int dir, struct digest base, struct resource_set *set,
                            const char **ret_why_log)
{
    static const char *const NAMES[] = {"snapshot.log", "snapshot.1.log"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        CLEANUP(builder_fini) struct builder bytes = {0};
        if (read_named(dir, NAMES[i], &bytes) != NULL ||
            !state_log_continues(builder_text(&bytes), base))
            continue;
        *ret_why_log = state_log_replay(builder_text(&bytes), set);
        return state_record_judge(set);
    }
    return NULL;
}

static const char *load(int dir, const char *name, struct resource_set *set,
                        const char **ret_why_log)
{
    CLEANUP(builder_fini) struct builder bytes = {0};
    const char *why = read_named(dir, name, &bytes);
    if (why == NULL)
        why = state_decode(builder_text(&bytes), set);
    if (why == NULL) {
        struct digest base = {state_record_get(bytes.data + HEADER_FRONT, 8),
                              state_record_get(bytes.data + HEADER_FRONT + 8, 8)};
        why = load_log(dir, base, set, ret_why_log);
    }
    if (why != NULL) {
        *ret_why_log = NULL;
        resource_set_clear(set);
    }
    return why;
}

struct state_loaded state_load(const char *directory, struct resource_set *set)
{
    struct state_loaded result = {0};
    int dir = open_directory(directory);
    if (dir < 0) {
        result.why_current = "the state directory cannot be opened";
        return result;
    }
    result.why_current = load(dir, "snapshot", set, &result.why_log);
    if (result.why_current != NULL) {
        result.previous = true;
        result.why_previous = load(dir, "snapshot.1", set, &result.why_log);
    }
    result.loaded = result.why_current == NULL || result.why_previous == NULL;
    result.fresh = result.why_current == NO_FILE && result.why_previous == NO_FILE;
    close(dir);
    return result;
}
