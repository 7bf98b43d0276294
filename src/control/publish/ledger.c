/* One small file, replaced by rename. It is not synced: should a power failure lose the last
 * revisions, the data planes say so (they hold newer ones) and ledger_overtake catches up. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/publish/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/builder.h"
#include "base/file.h"
#include "base/memory.h"

#define LEDGER_KIND "directory"

/* All four or none: a cut file is as good as none. */
static bool read_numbers(const char *path, uint64_t ret_numbers[4])
{
    char content[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, content, sizeof(content));
    close(fd);
    if (len <= 0)
        return false;
    struct text rest = text_from(content, (size_t)len), word = TEXT_NONE;
    uint64_t numbers[4];
    if (rest.data[rest.len - 1] != '\n')
        return false;
    if (!text_split(&rest, ' ', &word) || !text_is(word, "nantian-version-1"))
        return false;
    for (int i = 0; i < 4; i++)
        if (!text_split(&rest, i < 3 ? ' ' : '\n', &word) ||
            !(i < 2 ? text_to_u64(word, &numbers[i]) : text_hex_to_u64(word, &numbers[i])))
            return false;
    memcpy(ret_numbers, numbers, sizeof(numbers));
    return true;
}

static bool write_numbers(const struct ledger *ledger)
{
    struct builder line = {0};
    builder_printf(&line, "nantian-version-1 %llu %llu %llx %llx\n",
                   (unsigned long long)ledger->epoch, (unsigned long long)ledger->revision,
                   (unsigned long long)ledger->digest.high, (unsigned long long)ledger->digest.low);
    bool written = file_replace(ledger->path, builder_text(&line), 0600);
    int why = errno;
    builder_fini(&line);
    errno = why;
    return written;
}

void ledger_open(struct ledger *ledger, struct text directory, uint64_t now_s)
{
    struct builder path = {0};
    builder_add(&path, directory);
    (void)mkdir(path.data, 0700); /* that it cannot be written shows with the first version */
    builder_add_string(&path, "/version");
    uint64_t numbers[4] = {now_s, 0, 0, 0};
    read_numbers(path.data, numbers);
    *ledger = (struct ledger){
        .path = path.data,
        .epoch = numbers[0],
        .revision = numbers[1],
        .digest = {numbers[2], numbers[3]},
    };
}

void ledger_close(struct ledger *ledger)
{
    free(ledger->path);
    *ledger = (struct ledger){0};
}

bool ledger_advance(struct ledger *ledger, struct digest digest)
{
    if (ledger->revision > 0 && digest_equal(ledger->digest, digest))
        return true;
    ledger->revision++;
    ledger->digest = digest;
    return write_numbers(ledger);
}

void ledger_overtake(struct ledger *ledger, const struct snapshot_version *held)
{
    if (held->epoch > ledger->epoch) {
        ledger->epoch = held->epoch + 1;
        ledger->revision = 0;
    } else if (held->epoch == ledger->epoch) {
        ledger->revision = MAX(ledger->revision, version_get(held, TEXT(LEDGER_KIND)));
    }
    ledger->digest = (struct digest){0}; /* the next advance takes a new revision */
}

struct snapshot_version ledger_version(const struct ledger *ledger)
{
    struct snapshot_version version = {.epoch = ledger->epoch};
    CHECK(version_set(&version, TEXT(LEDGER_KIND), ledger->revision));
    return version;
}
