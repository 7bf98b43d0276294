/* Changes of header fields: pairs of lines, "s NAME", "a NAME" or "r NAME" and a value, edit a
 * message. What is taken names no field that frames or belongs to the connection, and leaves a
 * message that can be written. What is set stands first of its name, what is removed is gone. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/header_edit.h"

#include "fuzz.h"
#include "http/h1_parse.h"

#define EDITS_MAX 16

typedef Nantian__Config__V1__Header Pair;

static bool is_named(const struct header_pair *pairs, uint32_t count, struct text name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal_nocase(pairs[i].name, name))
            return true;
    }
    return false;
}

static void check_fields(const struct message *message, bool is_request)
{
    CHECK(message_get(message, NAME_CONTENT_LENGTH) == NULL);
    CHECK(message_get(message, NAME_TRANSFER_ENCODING) == NULL);
    CHECK(message_get(message, NAME_CONNECTION) == NULL);
    CHECK(!is_request || message_get(message, NAME_HOST) == NULL);
    for (uint32_t i = 0; i < message->field_count; i++) {
        struct text value = message->fields[i].value;
        CHECK(h1_parse_is_token(message->fields[i].name));
        CHECK(text_find(value, '\r', 0) == value.len && text_find(value, '\n', 0) == value.len);
        CHECK(text_find(value, '\0', 0) == value.len);
    }
}

static void check_edit(const struct header_edit *edit, const struct message *message)
{
    for (uint32_t i = 0; i < edit->set_count; i++) {
        const struct field *field = message_find(message, edit->set[i].name);
        CHECK(field != NULL && text_equal(field->value, edit->set[i].value));
    }
    for (uint32_t i = 0; i < edit->remove_count; i++) {
        struct text name = edit->remove[i];
        CHECK(is_named(edit->set, edit->set_count, name) ||
              is_named(edit->add, edit->add_count, name) || message_find(message, name) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text rest = text_from((const char *)data, size), line = TEXT_NONE, value = TEXT_NONE;
    Nantian__Config__V1__HeaderModifier modifier = NANTIAN__CONFIG__V1__HEADER_MODIFIER__INIT;
    Pair pairs[EDITS_MAX], *set[EDITS_MAX], *add[EDITS_MAX];
    char *removed[EDITS_MAX];
    struct arena arena;
    arena_init(&arena, 0);
    modifier.set = set;
    modifier.add = add;
    modifier.remove = removed;
    for (size_t i = 0; i < EDITS_MAX && text_split(&rest, '\n', &line); i++) {
        (void)text_split(&rest, '\n', &value);
        pairs[i] = (Pair)NANTIAN__CONFIG__V1__HEADER__INIT;
        pairs[i].name = arena_string(&arena, text_slice(line, 2, line.len));
        pairs[i].value = arena_string(&arena, value);
        if (line.len > 0 && line.data[0] == 's')
            set[modifier.n_set++] = &pairs[i];
        else if (line.len > 0 && line.data[0] == 'a')
            add[modifier.n_add++] = &pairs[i];
        else
            removed[modifier.n_remove++] = pairs[i].name;
    }
    for (int is_request = 0; is_request < 2; is_request++) {
        struct header_edit edit;
        struct message message;
        struct fault fault = {.level = FAULT_ERROR};
        if (header_edit_compile(&modifier, is_request != 0, &arena, &edit, &fault) != ERR_NONE)
            continue;
        message_init(&message);
        message_add(&message, &arena, TEXT("accept"), TEXT("*/*"));
        header_edit_apply(&edit, &message, &arena);
        check_fields(&message, is_request != 0);
        check_edit(&edit, &message);
    }
    arena_fini(&arena);
    return 0;
}
