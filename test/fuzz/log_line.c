/* What clients say, as it stands in the access log: one line of JSON, whatever bytes they send,
 * with no control byte in it; and secrets in queries are not there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/value.h"
#include "data/observe/line.h"
#include "fuzz.h"

#define ROOM 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text bytes = text_from((const char *)data, size);
    char *room = malloc(ROOM);
    struct line line = {.at = room};
    struct arena arena;
    struct faults faults;
    struct value *value;
    line_literal(&line, "{\"a\":");
    line_value(&line, bytes);
    line_literal(&line, ",\"b\":\"");
    line_escaped(&line, bytes, LINE_PATH_MAX);
    line_literal(&line, "\",\"c\":\"");
    line_query(&line, bytes, LINE_PATH_MAX);
    line_literal(&line, "\"}");
    CHECK(line.at < room + ROOM);
    for (const char *at = room; at < line.at; at++)
        CHECK((unsigned char)*at >= ' ' && (unsigned char)*at != 0x7f);
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    CHECK(value_parse_json(text_from(room, (size_t)(line.at - room)), TEXT("f"), &arena, &value,
                           &faults));
    faults_fini(&faults);
    arena_fini(&arena);
    free(room);
    return 0;
}
