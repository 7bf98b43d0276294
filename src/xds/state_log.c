/* The log behind the state file: see state_log.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "xds/state_log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LOG_FORMAT 1

static const char MAGIC[8] = {'N', 'A', 'N', 'T', 'L', 'O', 'G', 1};

static void put_digest(char *at, struct digest digest)
{
    state_record_put_u64(at, digest.high);
    state_record_put_u64(at + 8, digest.low);
}

static struct digest get_digest(const char *at)
{
    return (struct digest){state_record_get(at, 8), state_record_get(at + 8, 8)};
}

static void put_header(char header[STATE_LOG_HEADER], struct digest base)
{
    memset(header, 0, STATE_LOG_HEADER);
    memcpy(header, MAGIC, sizeof(MAGIC));
    state_record_put_u64(header + 8, LOG_FORMAT);
    put_digest(header + 16, base);
    put_digest(header + 32, hash_digest(text_from(header, 32)));
}

/* The digest of an entry; its front is put before the bytes for a moment's length only. */
static struct digest entry_digest(struct digest before, struct text payload)
{
    CLEANUP(builder_fini) struct builder whole = {0};
    char *at = builder_reserve(&whole, STATE_LOG_FRONT + payload.len);
    put_digest(at, before);
    state_record_put_u64(at + 16, payload.len);
    whole.len = STATE_LOG_FRONT;
    builder_add(&whole, payload);
    return hash_digest(builder_text(&whole));
}

/* ---- writing ---- */

void state_log_init(struct state_log *log)
{
    *log = (struct state_log){.fd = -1};
}

void state_log_fini(struct state_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    state_log_init(log);
}

void state_log_restart(struct state_log *log, struct digest base)
{
    state_log_fini(log);
    log->base = base;
    log->usable = true;
}

size_t state_log_open(struct builder *out)
{
    size_t entry = out->len;
    memset(builder_reserve(out, STATE_LOG_FRONT), 0, STATE_LOG_FRONT);
    out->len += STATE_LOG_FRONT;
    return entry;
}

void state_log_close(struct builder *out, size_t entry)
{
    state_record_put_u64(out->data + entry, out->len - entry - STATE_LOG_FRONT);
}

static const char *write_whole(int fd, struct text bytes)
{
    while (bytes.len > 0) {
        ssize_t wrote = write(fd, bytes.data, bytes.len);
        if (wrote >= 0)
            bytes = text_slice(bytes, (size_t)wrote, bytes.len);
        else if (errno == ENOSPC || errno == EDQUOT)
            return "the disk is full";
        else if (errno != EINTR)
            return "the log cannot be written";
    }
    return NULL;
}

/* The file and its name: the entries that follow are synced by their writer. */
static const char *begin(struct state_log *log, const char *directory)
{
    char header[STATE_LOG_HEADER];
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return "the state directory cannot be opened";
    (void)unlinkat(dir, "snapshot.log", 0); /* of a state file that is gone */
    log->fd = openat(dir, "snapshot.log",
                     O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    const char *why = log->fd < 0 ? "the log cannot be made" : NULL;
    put_header(header, log->base);
    log->chain = get_digest(header + 32);
    if (why == NULL)
        why = write_whole(log->fd, text_from(header, sizeof(header)));
    if (why == NULL && fsync(dir) != 0)
        why = "the state directory cannot be synced";
    close(dir);
    return why;
}

const char *state_log_append(struct state_log *log, const char *directory, struct builder *entries)
{
    if (!log->usable)
        return "the log has no state file";
    const char *why = log->fd < 0 ? begin(log, directory) : NULL;
    for (size_t at = 0; at < entries->len && why == NULL;) {
        size_t len = state_record_get(entries->data + at, 8);
        struct text payload = text_from(entries->data + at + STATE_LOG_FRONT, len);
        log->chain = entry_digest(log->chain, payload);
        put_digest(entries->data + at + 8, log->chain);
        at += STATE_LOG_FRONT + len;
    }
    if (why == NULL)
        why = write_whole(log->fd, builder_text(entries));
    if (why == NULL && fdatasync(log->fd) != 0)
        why = "the log cannot be synced";
    log->usable = why == NULL;
    return why;
}

/* ---- reading ---- */

bool state_log_continues(struct text bytes, struct digest base)
{
    char header[STATE_LOG_HEADER];
    put_header(header, base);
    return bytes.len >= sizeof(header) && memcmp(bytes.data, header, sizeof(header)) == 0;
}

const char *state_log_replay(struct text bytes, struct resource_set *set)
{
    struct text rest = text_slice(bytes, STATE_LOG_HEADER, bytes.len);
    struct digest chain = get_digest(bytes.data + STATE_LOG_HEADER - 16);
    while (rest.len > 0) {
        struct text front, payload;
        if (!state_record_take(&rest, STATE_LOG_FRONT, &front) ||
            !state_record_take(&rest, state_record_get(front.data, 8), &payload))
            return "its log is cut short";
        chain = entry_digest(chain, payload);
        if (!digest_equal(chain, get_digest(front.data + 8)))
            return "its log is damaged";
        while (payload.len > 0) {
            const char *why = state_record_apply(&payload, true, set);
            if (why != NULL)
                return why; /* then the commit record does not fit either, and nothing is loaded */
        }
    }
    return NULL;
}
