/* A byte-wise machine for what stands between the data; the data itself is never looked at. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h1_chunk.h"

#include "base/limits.h"

enum {
    STATE_FIRST,   /* the first digit of a size */
    STATE_SIZE,    /* more digits */
    STATE_BLANK,   /* responses: blanks behind the size */
    STATE_NAME,    /* the first byte of an extension's name */
    STATE_EXT,     /* the rest of it */
    STATE_QUOTED,  /* inside a quoted value */
    STATE_ESCAPE,  /* behind a backslash in one */
    STATE_LF,      /* of the size line */
    STATE_DATA,    /* the caller's */
    STATE_DATA_CR, /* behind the data */
    STATE_DATA_LF,
    STATE_LAST, /* the size was 0 */
};

void h1_chunk_init(struct h1_chunk *chunk, bool lenient)
{
    *chunk = (struct h1_chunk){.lenient = lenient};
}

bool h1_chunk_is_last(const struct h1_chunk *chunk)
{
    return chunk->state == STATE_LAST;
}

static enum err bad(struct h1_chunk *chunk, const char *why)
{
    chunk->why = why;
    return ERR_PROTOCOL;
}

static int digit_of(unsigned char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    unsigned letter = (byte | 0x20u) - 'a';
    return letter < 6 ? (int)letter + 10 : -1;
}

static bool starts_name(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static enum err read_size(struct h1_chunk *chunk, unsigned char byte)
{
    int digit = digit_of(byte);
    if (digit >= 0) {
        if (chunk->size >> 59 != 0)
            return bad(chunk, "chunk_size_overflow");
        chunk->size = chunk->size << 4 | (uint64_t)digit;
        chunk->state = STATE_SIZE;
        return ERR_NONE;
    }
    if (chunk->state == STATE_FIRST)
        return bad(chunk, "chunk_size");
    if (byte == '\r')
        chunk->state = STATE_LF;
    else if (byte == ';')
        chunk->state = STATE_NAME;
    else if (chunk->lenient && (byte == ' ' || byte == '\t'))
        chunk->state = STATE_BLANK;
    else
        return bad(chunk, "chunk_size");
    return ERR_NONE;
}

static enum err read_blank(struct h1_chunk *chunk, unsigned char byte)
{
    if (byte == '\r')
        chunk->state = STATE_LF;
    else if (byte == ';')
        chunk->state = STATE_NAME;
    else if (byte != ' ' && byte != '\t')
        return bad(chunk, "chunk_size");
    return ERR_NONE;
}

static enum err read_extension(struct h1_chunk *chunk, unsigned char byte)
{
    if (++chunk->extension_bytes > LIMIT_CHUNK_EXTENSIONS)
        return bad(chunk, "chunk_extensions_limit");
    bool quoted = chunk->state == STATE_QUOTED || chunk->state == STATE_ESCAPE;
    if (chunk->state == STATE_NAME && !starts_name(byte))
        return bad(chunk, "chunk_extension");
    if (byte == '\r' && !quoted) {
        chunk->state = STATE_LF;
        return ERR_NONE;
    }
    if ((byte < ' ' && byte != '\t') || byte >= 0x7f)
        return bad(chunk, "chunk_extension");
    if (chunk->state == STATE_ESCAPE)
        chunk->state = STATE_QUOTED;
    else if (chunk->state == STATE_QUOTED)
        chunk->state = byte == '"' ? STATE_EXT : byte == '\\' ? STATE_ESCAPE : STATE_QUOTED;
    else
        chunk->state = byte == '"' ? STATE_QUOTED : byte == ';' ? STATE_NAME : STATE_EXT;
    return ERR_NONE;
}

/* The end of a size line: what the chunk is, and whether its framing is still in proportion. */
static enum err end_size(struct h1_chunk *chunk, unsigned char byte)
{
    if (byte != '\n')
        return bad(chunk, "chunk_bare_cr");
    chunk->left = chunk->size;
    chunk->size = 0;
    chunk->state = chunk->left == 0 ? STATE_LAST : STATE_DATA;
    chunk->data_bytes += chunk->left;
    if (chunk->overhead_bytes > LIMIT_CHUNK_OVERHEAD_MIN &&
        chunk->overhead_bytes / LIMIT_CHUNK_OVERHEAD > chunk->data_bytes)
        return bad(chunk, "chunk_overhead_limit");
    return ERR_NONE;
}

static enum err read_byte(struct h1_chunk *chunk, unsigned char byte)
{
    switch (chunk->state) {
    case STATE_FIRST:
    case STATE_SIZE:
        return read_size(chunk, byte);
    case STATE_BLANK:
        return read_blank(chunk, byte);
    case STATE_NAME:
    case STATE_EXT:
    case STATE_QUOTED:
    case STATE_ESCAPE:
        return read_extension(chunk, byte);
    case STATE_LF:
        return end_size(chunk, byte);
    case STATE_DATA_CR:
        chunk->state = STATE_DATA_LF;
        return byte == '\r' ? ERR_NONE : bad(chunk, "chunk_data_end");
    default:
        chunk->state = STATE_FIRST;
        return byte == '\n' ? ERR_NONE : bad(chunk, "chunk_data_end");
    }
}

enum err h1_chunk_read(struct h1_chunk *chunk, const char *data, size_t len, size_t *ret_used)
{
    size_t used = 0;
    enum err err = ERR_NONE;
    if (chunk->state == STATE_DATA)
        chunk->state = STATE_DATA_CR;
    while (err == ERR_NONE && chunk->state != STATE_DATA && chunk->state != STATE_LAST) {
        if (used == len) {
            err = ERR_AGAIN;
            break;
        }
        err = read_byte(chunk, (unsigned char)data[used++]);
        chunk->overhead_bytes++;
    }
    *ret_used = used;
    return err;
}
