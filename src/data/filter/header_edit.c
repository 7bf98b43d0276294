/* Edits of header fields, checked once and applied to many messages: see header_edit.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "data/filter/header_edit.h"

#include "http/h1_parse.h"

/* RFC 9110 5.5: no control byte but the tab, and no blank at either end. */
static bool is_value(struct text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return text_trim(text).len == text.len;
}

/* Fields that the codecs make from the message itself. */
static bool is_ours(enum name_id id)
{
    return id == NAME_CONNECTION || id == NAME_CONTENT_LENGTH || id == NAME_HTTP2_SETTINGS ||
           id == NAME_KEEP_ALIVE || id == NAME_PROXY_CONNECTION || id == NAME_TE ||
           id == NAME_TRAILER || id == NAME_TRANSFER_ENCODING || id == NAME_UPGRADE;
}

bool header_edit_may(struct text name, struct text value)
{
    enum name_id id = name_lookup(name);
    return h1_parse_is_token(name) && is_value(value) && !is_ours(id) && id != NAME_HOST;
}

static enum err refuse(struct arena *arena, struct fault *fault, const char *list, size_t at,
                       const char *part, const char *what)
{
    fault->field = arena_printf(arena, "%s[%zu]%s", list, at, part);
    fault->what = text_of(what);
    return ERR_INVALID;
}

static enum err check_name(struct text name, struct arena *arena, struct fault *fault,
                           const char *list, size_t at, const char *part)
{
    if (!h1_parse_is_token(name))
        return refuse(arena, fault, list, at, part, "is not the name of a header field");
    if (is_ours(name_lookup(name))) {
        fault->hint = TEXT("fields of the connection and of framing are the gateway's");
        return refuse(arena, fault, list, at, part, "names a field that no filter may change");
    }
    return ERR_NONE;
}

static bool in_pairs(const struct header_pair *pairs, uint32_t count, struct text name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (text_equal_nocase(pairs[i].name, name))
            return true;
    }
    return false;
}

/* A list of the message, and what it is called there. */
struct source {
    const char *list;
    Nantian__Config__V1__Header *const *headers;
    size_t count;
};

static enum err compile_pairs(struct source from, struct arena *arena,
                              struct header_pair **ret_pairs, uint32_t *ret_count,
                              struct fault *fault)
{
    struct header_pair *pairs =
        from.count == 0 ? NULL : arena_array(arena, struct header_pair, from.count);
    uint32_t kept = 0;
    for (size_t i = 0; i < from.count; i++) {
        struct text name = text_of(from.headers[i]->name);
        struct text value = text_of(from.headers[i]->value);
        enum err err = check_name(name, arena, fault, from.list, i, ".name");
        if (err != ERR_NONE)
            return err;
        if (!is_value(value))
            return refuse(arena, fault, from.list, i, ".value",
                          "holds bytes that no field may have");
        if (!in_pairs(pairs, kept, name))
            pairs[kept++] = (struct header_pair){arena_text(arena, name), arena_text(arena, value)};
    }
    *ret_pairs = pairs;
    *ret_count = kept;
    return ERR_NONE;
}

static enum err compile_removes(const Nantian__Config__V1__HeaderModifier *message,
                                struct arena *arena, struct header_edit *edit, struct fault *fault)
{
    if (message->n_remove > 0)
        edit->remove = arena_array(arena, struct text, message->n_remove);
    for (size_t i = 0; i < message->n_remove; i++) {
        struct text name = text_of(message->remove[i]);
        enum err err = check_name(name, arena, fault, "remove", i, "");
        if (err != ERR_NONE)
            return err;
        edit->remove[edit->remove_count++] = arena_text(arena, name);
    }
    return ERR_NONE;
}

/* Host is not a field of our requests but a member: setting it is a rewrite of the host. */
static enum err take_host(struct header_edit *edit, struct fault *fault)
{
    for (uint32_t i = 0; i < edit->add_count; i++) {
        if (name_lookup(edit->add[i].name) == NAME_HOST) {
            fault->field = TEXT("add");
            fault->what = TEXT("would give the request a second Host");
            return ERR_INVALID;
        }
    }
    for (uint32_t i = 0; i < edit->remove_count; i++) {
        if (name_lookup(edit->remove[i]) == NAME_HOST) {
            fault->field = TEXT("remove");
            fault->what = TEXT("would leave the request without a Host");
            return ERR_INVALID;
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < edit->set_count; i++) {
        if (name_lookup(edit->set[i].name) == NAME_HOST)
            edit->host = edit->set[i].value;
        else
            edit->set[kept++] = edit->set[i];
    }
    edit->set_count = kept;
    return ERR_NONE;
}

enum err header_edit_compile(const Nantian__Config__V1__HeaderModifier *message, bool is_request,
                             struct arena *arena, struct header_edit *ret_edit, struct fault *fault)
{
    struct header_edit edit = {0};
    struct source set = {"set", message->set, message->n_set};
    struct source add = {"add", message->add, message->n_add};
    enum err err = compile_pairs(set, arena, &edit.set, &edit.set_count, fault);
    if (err == ERR_NONE)
        err = compile_pairs(add, arena, &edit.add, &edit.add_count, fault);
    if (err == ERR_NONE)
        err = compile_removes(message, arena, &edit, fault);
    if (err == ERR_NONE && is_request)
        err = take_host(&edit, fault);
    if (err == ERR_NONE)
        *ret_edit = edit;
    return err;
}

void header_edit_apply(const struct header_edit *edit, struct message *message, struct arena *arena)
{
    for (uint32_t i = 0; i < edit->remove_count; i++)
        message_remove(message, edit->remove[i]);
    for (uint32_t i = 0; i < edit->set_count; i++)
        message_set(message, arena, edit->set[i].name, edit->set[i].value);
    for (uint32_t i = 0; i < edit->add_count; i++)
        message_add(message, arena, edit->add[i].name, edit->add[i].value);
}
