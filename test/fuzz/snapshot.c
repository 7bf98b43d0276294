/* Resources of any content into the compiler, one after the other: each change is taken whole or
 * refused with faults, and a refused one leaves what was there. A record is a type, a name (one of
 * eight), a length of two bytes, and as many bytes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/compile/compile.h"
#include "fuzz.h"

#define CHANGES_MAX 16 /* each may make a ring of many points: an input is to stay quick */

static struct tls_certificate *pick(void *owner, const struct tls_hello *hello,
                                    struct tls_context **ret_rules)
{
    (void)owner, (void)hello, (void)ret_rules;
    return NULL;
}

/* How many bindings there are after this change; UINT32_MAX: it was refused. */
static uint32_t apply(struct compile *compile, const struct compile_edit *edits, size_t count)
{
    struct arena arena;
    struct faults faults;
    struct snapshot *snapshot = NULL;
    arena_init(&arena, 0);
    faults_init(&faults, &arena);
    enum err err =
        compile_apply(compile, edits, count, TEXT("1.0.1"), (struct digest){0}, &snapshot, &faults);
    CHECK((err == ERR_NONE) == (snapshot != NULL));
    CHECK(err == ERR_NONE || faults.count > 0);
    uint32_t bindings = snapshot == NULL ? UINT32_MAX : snapshot->binding_count;
    snapshot_unref(snapshot);
    faults_fini(&faults);
    arena_fini(&arena);
    return bindings;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct text names[] = {{"default/web/http", 16},
                                        {"default/app:80", 14},
                                        {"default/web/http|HTTPRoute/default/r/0", 38},
                                        {"default/web/https", 17},
                                        {"default/other:80", 16},
                                        {"default/web/http|HTTPRoute/default/s/0", 38},
                                        {"x", 1},
                                        {"", 0}};
    struct compile_options options = {.pick = pick};
    struct compile *compile = compile_new(&options);
    uint32_t before = apply(compile, NULL, 0);
    for (int changes = 0; changes < CHANGES_MAX && size >= 4; changes++) {
        size_t len = MIN((size_t)data[2] << 8 | data[3], size - 4);
        struct compile_edit edit = {
            .type = (enum resource_type)(data[0] % RESOURCE_SNAPSHOT),
            .name = names[data[1] % ARRAY_LEN(names)],
            .bytes = text_from((const char *)data + 4, len),
            .removed = data[0] >= 128,
        };
        uint32_t after = apply(compile, &edit, 1);
        if (after == UINT32_MAX)
            CHECK(apply(compile, NULL, 0) == before);
        else
            before = after;
        data += 4 + len;
        size -= 4 + len;
    }
    compile_free(compile);
    return 0;
}
