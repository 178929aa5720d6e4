#include "ckpt/table.h"

#include "base/assert.h"
#include "base/mem.h"
#include "h5/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "BANFF CHECKPOINT 1\n", magic_parts[] = "BANFF CHECKPOINT 2\n"; /* of equal length */

enum { TAIL = 22 }; /* "\nend <16 digits>\n" */

/* ---- entries --------------------------------------------------------------------------------------------------- */

bnf_status bnf_ckpt_table_add(bnf_ckpt_table *table, const bnf_ckpt_entry *entry)
{
    if (table->count == table->room) {
        int64_t room = table->room ? 2 * table->room : 16;
        size_t one = sizeof *table->entry;
        BNF_TRY(bnf_realloc((size_t)table->room * one, (size_t)room * one, "table of a checkpoint", &table->entry));
        table->room = room;
    }
    bnf_ckpt_entry *to = &table->entry[table->count];
    *to = *entry;
    BNF_TRY(bnf_strdup(entry->name, &to->name));
    table->count++;
    return BNF_OK;
}

bnf_status bnf_ckpt_table_add_part(bnf_ckpt_table *table, const bnf_ckpt_part *part)
{
    if (table->part_count == table->part_room) {
        int64_t room = table->part_room ? 2 * table->part_room : 16;
        size_t one = sizeof *table->part;
        BNF_TRY(bnf_realloc((size_t)table->part_room * one, (size_t)room * one, "parts of a checkpoint", &table->part));
        table->part_room = room;
    }
    bnf_ckpt_part *to = &table->part[table->part_count];
    *to = *part;
    BNF_TRY(bnf_strdup(part->name, &to->name));
    table->part_count++;
    return BNF_OK;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const bnf_ckpt_entry *)a)->name, ((const bnf_ckpt_entry *)b)->name);
}

void bnf_ckpt_table_sort(bnf_ckpt_table *table)
{
    if (table->count)
        qsort(table->entry, (size_t)table->count, sizeof *table->entry, compare_entries);
}

const bnf_ckpt_entry *bnf_ckpt_table_find(const bnf_ckpt_table *table, const char *name)
{
    for (int64_t i = 0; i < table->count; i++)
        if (strcmp(table->entry[i].name, name) == 0)
            return &table->entry[i];
    return NULL;
}

void bnf_ckpt_table_release(bnf_ckpt_table *table)
{
    for (int64_t i = 0; i < table->count; i++)
        bnf_free(table->entry[i].name);
    bnf_free(table->entry);
    for (int64_t i = 0; i < table->part_count; i++)
        bnf_free(table->part[i].name);
    bnf_free(table->part);
    *table = (bnf_ckpt_table){0};
}

const char *bnf_ckpt_shape(bnf_dtype dtype, int ndim, const int64_t *dim, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "%s[", bnf_dtype_name(dtype));
    for (int i = 0; i < ndim && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? "," : "", dim[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

/* ---- write ----------------------------------------------------------------------------------------------------- */

static void format_lines(const bnf_ckpt_table *table, int64_t block_bytes, bnf_buf *out)
{
    char sum[BNF_CHECKSUM_HEX];
    bnf_buf_printf(out, "%stable %" PRId64 "\nstep %" PRId64 "\n", table->part_count ? magic_parts : magic, block_bytes,
                   table->step);
    bnf_buf_printf(out, "image %" PRId64 " %s\n", table->image_bytes, bnf_checksum_format(table->image_checksum, sum));
    if (table->part_count)
        bnf_buf_printf(out, "parts %" PRId64 "\n", table->part_count);
    for (int64_t i = 0; i < table->part_count; i++)
        bnf_buf_printf(out, "%s %" PRId64 " %s\n", table->part[i].name, table->part[i].bytes,
                       bnf_checksum_format(table->part[i].checksum, sum));
    bnf_buf_printf(out, "entries %" PRId64 "\n", table->count);
    for (int64_t i = 0; i < table->count; i++) {
        const bnf_ckpt_entry *e = &table->entry[i];
        bnf_buf_printf(out, "%s %s %d", e->name, bnf_dtype_name(e->dtype), e->ndim);
        for (int k = 0; k < e->ndim; k++)
            bnf_buf_printf(out, " %" PRId64, e->dim[k]);
        bnf_buf_printf(out, " %" PRId64 " %" PRId64 " %s\n", e->offset, e->bytes,
                       bnf_checksum_format(e->checksum, sum));
    }
}

bnf_status bnf_ckpt_table_format(bnf_ckpt_table *table, bnf_buf *block)
{
    BNF_ASSERT(!block->size);
    int64_t bytes = 512;
    format_lines(table, INT64_MAX, block); /* once with the longest possible size of the block, to learn its size */
    while (bytes < (int64_t)block->size + TAIL)
        bytes *= 2;
    BNF_TRY(block->status);
    bnf_buf_clear(block);
    format_lines(table, bytes, block);
    BNF_TRY(bnf_buf_reserve(block, (size_t)bytes - block->size));
    memset(block->data + block->size, 0, (size_t)bytes - TAIL - block->size);
    block->size = (size_t)bytes - TAIL;
    char sum[BNF_CHECKSUM_HEX];
    table->block_checksum = bnf_checksum(block->data, block->size);
    bnf_checksum_format(table->block_checksum, sum);
    BNF_TRY(bnf_buf_printf(block, "\nend %s\n", sum));
    BNF_ASSERT((int64_t)block->size == bytes);
    table->block_bytes = bytes;
    return BNF_OK;
}

/* ---- read ------------------------------------------------------------------------------------------------------ */

bnf_status bnf_ckpt_table_size(const char *path, const char *text, int64_t size, int64_t *block_bytes)
{
    char head[BNF_CKPT_TABLE_HEAD + 1];
    size_t known = size < BNF_CKPT_TABLE_HEAD ? (size_t)size : BNF_CKPT_TABLE_HEAD;
    size_t magic_bytes = sizeof magic - 1;
    memcpy(head, text, known);
    head[known] = '\0';
    if (known < magic_bytes || (memcmp(head, magic, magic_bytes) != 0 && memcmp(head, magic_parts, magic_bytes) != 0))
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': it does not start with '%.*s'", path, (int)magic_bytes - 1,
                        magic);
    char *number = head + magic_bytes, *end;
    bool named = strncmp(number, "table ", 6) == 0;
    long long value = named ? strtoll(number + 6, &end, 10) : 0;
    if (!named || *end != '\n' || value < 512 || value > INT64_C(1) << 40 || (value & (value - 1)))
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': the table of contents is damaged (its size)", path);
    *block_bytes = value;
    return BNF_OK;
}

/* Words of a text, separated by single spaces and line breaks. */
typedef struct words {
    char *next; /* NULL: at the end */
    bool good;  /* until something was missing or no number */
} words;

static const char *take_word(words *w)
{
    char *word = strsep(&w->next, " \n");
    if (!word || !*word)
        w->good = false;
    return word ? word : "";
}

static int64_t take_int(words *w)
{
    int64_t value = 0;
    if (!bnf_parse_int(take_word(w), &value) || value < 0)
        w->good = false;
    return value;
}

static uint64_t take_checksum(words *w)
{
    uint64_t value = 0;
    if (bnf_checksum_parse(take_word(w), &value) != BNF_OK)
        w->good = false;
    return value;
}

static void take_keyword(words *w, const char *keyword)
{
    if (strcmp(take_word(w), keyword) != 0)
        w->good = false;
}

/* One line of the table. False if it is not what it should be. */
static bool take_entry(words *w, int64_t image_bytes, bnf_ckpt_entry *e)
{
    e->name = (char *)take_word(w);
    const char *type = take_word(w);
    e->dtype = BNF_DTYPE_COUNT;
    for (int t = 0; t < BNF_BF16; t++) /* the last, which no file holds */
        if (strcmp(type, bnf_dtype_name((bnf_dtype)t)) == 0)
            e->dtype = (bnf_dtype)t;
    int64_t ndim = take_int(w);
    if (!w->good || e->dtype == BNF_DTYPE_COUNT || ndim > BNF_CKPT_MAX_DIMS)
        return false;
    e->ndim = (int)ndim;
    int64_t bytes = (int64_t)bnf_dtype_size(e->dtype);
    for (int k = 0; k < e->ndim; k++) {
        e->dim[k] = take_int(w);
        if (__builtin_mul_overflow(bytes, e->dim[k], &bytes))
            return false;
    }
    e->offset = take_int(w);
    e->bytes = take_int(w);
    e->checksum = take_checksum(w);
    return w->good && e->bytes == bytes && e->offset <= image_bytes && e->bytes <= image_bytes - e->offset;
}

/* Its name is looked for in the folder of the checkpoint, so it may not lead elsewhere. */
static bool take_part(words *w, bnf_ckpt_part *part)
{
    part->name = (char *)take_word(w);
    part->bytes = take_int(w);
    part->checksum = take_checksum(w);
    return w->good && !strchr(part->name, '/') && part->bytes > 0;
}

static bnf_status take_parts(words *w, bnf_ckpt_table *table)
{
    take_keyword(w, "parts");
    int64_t count = take_int(w);
    for (int64_t i = 0; i < count && w->good; i++) {
        bnf_ckpt_part part = {0};
        if (!take_part(w, &part))
            w->good = false;
        else
            BNF_TRY(bnf_ckpt_table_add_part(table, &part));
    }
    return BNF_OK;
}

bnf_status bnf_ckpt_table_parse(const char *path, char *text, int64_t block_bytes, bnf_ckpt_table *table)
{
    *table = (bnf_ckpt_table){.block_bytes = block_bytes};
    char *tail = text + block_bytes - TAIL, end[TAIL + 1], sum[BNF_CHECKSUM_HEX];
    table->block_checksum = bnf_checksum(text, (size_t)(block_bytes - TAIL));
    snprintf(end, sizeof end, "\nend %s\n", bnf_checksum_format(table->block_checksum, sum));
    if (memcmp(tail, end, TAIL) != 0)
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': the table of contents does not match its checksum", path);
    tail[0] = '\0';
    words w = {text + strlen(magic), true};
    take_keyword(&w, "table");
    take_int(&w);
    take_keyword(&w, "step");
    table->step = take_int(&w);
    take_keyword(&w, "image");
    table->image_bytes = take_int(&w);
    table->image_checksum = take_checksum(&w);
    if (memcmp(text, magic_parts, strlen(magic_parts)) == 0)
        BNF_TRY(take_parts(&w, table));
    take_keyword(&w, "entries");
    int64_t count = take_int(&w);
    for (int64_t i = 0; i < count && w.good; i++) {
        bnf_ckpt_entry entry = {0};
        if (!take_entry(&w, table->image_bytes, &entry))
            w.good = false;
        else
            BNF_TRY(bnf_ckpt_table_add(table, &entry));
    }
    if (!w.good) {
        bnf_error_clear();
        return bnf_fail(BNF_ERR_FORMAT, "checkpoint '%s': the table of contents is malformed after %" PRId64 " entries",
                        path, table->count);
    }
    return BNF_OK;
}
