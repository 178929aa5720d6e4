/* banff checkpoint ls|verify|diff: what is in a folder of checkpoints, whether it is sound, how two differ. */
#include "base/fs.h"
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "cli/args.h"
#include "cli/cmd.h"
#include "comm/agree.h"

#include <math.h>
#include <string.h>

static const char about[] =
    "  ls PATH...      every checkpoint with step, job (generation), parts and size, and whether it is sound\n"
    "  verify PATH...  reads every byte and compares all checksums; exit code 1 if any checkpoint is damaged\n"
    "  diff A B        array by array: equal, or how many elements differ and by how much; exit code 1 if any does\n"
    "\n"
    "PATH is a run folder, its folder of checkpoints, or one checkpoint (ckpt-*.h5). For diff, a folder stands for "
    "its\n"
    "newest sound checkpoint.\n";

/* The folder of checkpoints of a run folder, or the folder itself. */
static bnf_status folder_of(const char *path, bnf_buf *folder)
{
    BNF_TRY(bnf_fs_join(folder, path, "checkpoints"));
    if (bnf_fs_is_folder(folder->data))
        return BNF_OK;
    bnf_buf_clear(folder);
    return bnf_buf_puts(folder, path);
}

static void print_size(int64_t bytes)
{
    if (bytes < 10 * 1024)
        printf("%9lld B  ", (long long)bytes);
    else if (bytes < 10 * 1024 * 1024)
        printf("%9.1f KiB", (double)bytes / 1024);
    else
        printf("%9.1f MiB", (double)bytes / (1024 * 1024));
}

/* How many were looked at, and how many of those that count are damaged. */
typedef struct tally {
    int64_t seen, damaged;
} tally;

/* ---- ls -------------------------------------------------------------------------------------------------------- */

static bnf_status list_one(const bnf_ckpt_listed *item, bool *newest, tally *t)
{
    bnf_ckpt_reader *reader = NULL;
    bnf_error_clear();
    bnf_status s = bnf_ckpt_reader_open(item->path, &reader);
    if (s == BNF_ERR_MEMORY)
        return s;
    if (s != BNF_OK && !bnf_fs_exists(item->path)) /* a run has removed it just now */
        return BNF_OK;
    printf("%13lld %10lld ", (long long)item->step, (long long)item->generation);
    if (s == BNF_OK) {
        printf("%6lld ", (long long)bnf_ckpt_reader_parts(reader));
        print_size(bnf_ckpt_reader_bytes(reader));
    } else {
        printf("%6s %13s", "-", "-");
    }
    t->seen++;
    t->damaged += item->counts && s != BNF_OK;
    if (!item->counts)
        printf("  no part of the run any more: a later job went on from before it\n");
    else if (s != BNF_OK)
        printf("  damaged: %s\n", bnf_error_message());
    else
        printf("  sound%s\n", *newest ? ", the newest" : "");
    if (item->counts && s == BNF_OK)
        *newest = false;
    bnf_ckpt_reader_close(reader);
    bnf_error_clear();
    return BNF_OK;
}

static bnf_status list_path(const char *path, tally *t)
{
    bnf_buf folder = {0};
    bnf_ckpt_list list = {0};
    bool newest = true;
    bnf_status s = bnf_fs_is_folder(path)
                       ? folder_of(path, &folder)
                       : bnf_fail(BNF_ERR_IO, "%s is not a folder: `banff checkpoint verify` looks at one file", path);
    if (s == BNF_OK)
        s = bnf_ckpt_list_folder(folder.data, &list);
    if (s == BNF_OK)
        printf("%s\n%13s %10s %6s %13s\n", folder.data, "step", "generation", "parts", "size");
    for (int64_t i = 0; i < list.count && s == BNF_OK; i++)
        s = list_one(&list.item[i], &newest, t);
    bnf_ckpt_list_release(&list);
    bnf_buf_release(&folder);
    return s;
}

/* ---- verify ---------------------------------------------------------------------------------------------------- */

/* `listed`: it was there a moment ago; a run may have removed it since. */
static bnf_status verify_one(const char *path, bool listed, tally *t)
{
    bnf_error_clear();
    bnf_status s = bnf_ckpt_verify(path);
    if (s == BNF_ERR_MEMORY)
        return s;
    if (s != BNF_OK && listed && !bnf_fs_exists(path))
        return BNF_OK;
    t->seen++;
    t->damaged += s != BNF_OK;
    if (s == BNF_OK)
        printf("%s: sound\n", path);
    else
        printf("%s: damaged: %s\n", path, bnf_error_message());
    bnf_error_clear();
    return BNF_OK;
}

static bnf_status verify_path(const char *path, tally *t)
{
    if (!bnf_fs_is_folder(path))
        return verify_one(path, false, t);
    bnf_buf folder = {0};
    bnf_ckpt_list list = {0};
    bnf_status s = folder_of(path, &folder);
    if (s == BNF_OK)
        s = bnf_ckpt_list_folder(folder.data, &list);
    for (int64_t i = 0; i < list.count && s == BNF_OK; i++)
        s = verify_one(list.item[i].path, true, t);
    bnf_ckpt_list_release(&list);
    bnf_buf_release(&folder);
    return s;
}

/* ---- diff ------------------------------------------------------------------------------------------------------ */

static double element(bnf_dtype dtype, const char *at)
{
    float f;
    double d;
    int32_t i;
    int64_t l;
    switch (dtype) {
    case BNF_F32:
        memcpy(&f, at, sizeof f);
        return (double)f;
    case BNF_F64:
        memcpy(&d, at, sizeof d);
        return d;
    case BNF_I32:
        memcpy(&i, at, sizeof i);
        return (double)i;
    case BNF_I64:
        memcpy(&l, at, sizeof l);
        return (double)l;
    default:
        return (double)*(const unsigned char *)at;
    }
}

/* Elements whose bits differ, and the largest difference (NaN if one of them is no number). */
static int64_t count_different(const bnf_ckpt_entry *e, const char *a, const char *b, double *largest)
{
    size_t size = bnf_dtype_size(e->dtype);
    int64_t different = 0;
    *largest = 0;
    for (int64_t at = 0; at < e->bytes; at += (int64_t)size) {
        if (memcmp(a + at, b + at, size) == 0)
            continue;
        double d = fabs(element(e->dtype, a + at) - element(e->dtype, b + at));
        *largest = isnan(d) || isnan(*largest) ? NAN : d > *largest ? d : *largest;
        different++;
    }
    return different;
}

static bool same_shape(const bnf_ckpt_entry *a, const bnf_ckpt_entry *b)
{
    return a->dtype == b->dtype && a->ndim == b->ndim && memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof *a->dim) == 0;
}

/* [out] equal */
static bnf_status compare_arrays(bnf_ckpt_reader *a, bnf_ckpt_reader *b, const bnf_ckpt_entry *e,
                                 const bnf_ckpt_entry *other, bool *equal)
{
    char *x = NULL, *y = NULL;
    double largest;
    *equal = false;
    if (!same_shape(e, other)) {
        printf("  %-40s of another type or shape\n", e->name);
        return BNF_OK;
    }
    bnf_status s = bnf_alloc((size_t)e->bytes, "array", &x);
    if (s == BNF_OK)
        s = bnf_alloc((size_t)e->bytes, "array", &y);
    if (s == BNF_OK)
        s = bnf_ckpt_reader_read(a, e->name, e->dtype, e->ndim, e->dim, x);
    if (s == BNF_OK)
        s = bnf_ckpt_reader_read(b, e->name, e->dtype, e->ndim, e->dim, y);
    if (s == BNF_OK) {
        int64_t n = count_different(e, x, y, &largest), all = e->bytes / (int64_t)bnf_dtype_size(e->dtype);
        *equal = n == 0;
        if (n == 0)
            printf("  %-40s equal\n", e->name);
        else
            printf("  %-40s %lld of %lld differ, by at most %.9g\n", e->name, (long long)n, (long long)all, largest);
    }
    bnf_free(x);
    bnf_free(y);
    return s;
}

static bnf_status compare_attribute(bnf_ckpt_reader *a, bnf_ckpt_reader *b, const char *name, int64_t *different)
{
    char *x = NULL, *y = NULL;
    bnf_status s = bnf_ckpt_reader_attr_str(a, name, &x);
    if (s == BNF_OK)
        s = bnf_ckpt_reader_attr_str(b, name, &y);
    if (s == BNF_OK) {
        bool equal = strcmp(x, y) == 0;
        printf("  %-40s %s\n", name, equal ? "equal" : "differs");
        *different += !equal;
    }
    bnf_free(x);
    bnf_free(y);
    return s;
}

static bnf_status compare(bnf_ckpt_reader *a, bnf_ckpt_reader *b, int64_t *different)
{
    bnf_status s = BNF_OK;
    bool same_step = bnf_ckpt_reader_step(a) == bnf_ckpt_reader_step(b);
    printf("  %-40s %lld, %lld\n", "step", (long long)bnf_ckpt_reader_step(a), (long long)bnf_ckpt_reader_step(b));
    *different += !same_step;
    static const char *const attributes[] = {"config", "data", "weights"};
    for (size_t i = 0; i < 3 && s == BNF_OK; i++)
        s = compare_attribute(a, b, attributes[i], different);
    for (int64_t i = 0; i < bnf_ckpt_reader_count(a) && s == BNF_OK; i++) {
        const bnf_ckpt_entry *e = bnf_ckpt_reader_entry(a, i), *other = bnf_ckpt_reader_find(b, e->name);
        bool equal = false;
        if (other)
            s = compare_arrays(a, b, e, other, &equal);
        else
            printf("  %-40s only in the first\n", e->name);
        *different += !equal;
    }
    for (int64_t i = 0; i < bnf_ckpt_reader_count(b) && s == BNF_OK; i++) {
        const bnf_ckpt_entry *e = bnf_ckpt_reader_entry(b, i);
        if (bnf_ckpt_reader_find(a, e->name))
            continue;
        printf("  %-40s only in the second\n", e->name);
        ++*different;
    }
    return s;
}

/* Opens a checkpoint, or the newest sound one of a folder, and prints which it is. */
static bnf_status open_one(const char *path, bnf_ckpt_reader **reader)
{
    bnf_buf folder = {0};
    char *newest = NULL;
    bnf_status s = BNF_OK;
    if (bnf_fs_is_folder(path)) {
        s = folder_of(path, &folder);
        if (s == BNF_OK)
            s = bnf_ckpt_find_newest(folder.data, &newest, NULL);
        if (s == BNF_OK && !newest)
            s = bnf_fail(BNF_ERR_FORMAT, "%s holds no sound checkpoint", folder.data);
    }
    if (s == BNF_OK)
        s = bnf_ckpt_reader_open(newest ? newest : path, reader);
    if (s == BNF_OK)
        printf("%s\n", newest ? newest : path);
    bnf_free(newest);
    bnf_buf_release(&folder);
    return s;
}

static bnf_status diff(const bnf_arg_list *words)
{
    bnf_ckpt_reader *a = NULL, *b = NULL;
    int64_t different = 0;
    if (words->count != 3)
        return bnf_fail(BNF_ERR_CONFIG, "diff compares two checkpoints: banff checkpoint diff A B");
    bnf_status s = open_one(words->item[1], &a);
    if (s == BNF_OK)
        s = open_one(words->item[2], &b);
    if (s == BNF_OK)
        s = compare(a, b, &different);
    bnf_ckpt_reader_close(a);
    bnf_ckpt_reader_close(b);
    if (s == BNF_OK && different > 0)
        s = bnf_fail(BNF_ERR_NUMERIC, "the two differ (%lld differences)", (long long)different);
    return s;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static bnf_status each_path(const bnf_arg_list *words, bnf_status (*look)(const char *, tally *))
{
    tally t = {0};
    if (words->count < 2)
        return bnf_fail(BNF_ERR_CONFIG, "name a run folder or a checkpoint: banff checkpoint %s PATH...",
                        words->item[0]);
    for (int64_t i = 1; i < words->count; i++)
        BNF_TRY(look(words->item[i], &t));
    if (t.damaged > 0)
        return bnf_fail(BNF_ERR_FORMAT, "%lld of %lld checkpoints are damaged", (long long)t.damaged,
                        (long long)t.seen);
    return t.seen > 0 ? BNF_OK : bnf_fail(BNF_ERR_FORMAT, "there is no checkpoint in '%s'", words->item[1]);
}

/* Rank 0 alone. */
static bnf_status look(const bnf_arg_list *words)
{
    const char *verb = words->count > 0 ? words->item[0] : "";
    if (strcmp(verb, "ls") == 0)
        return each_path(words, list_path);
    if (strcmp(verb, "verify") == 0)
        return each_path(words, verify_path);
    if (strcmp(verb, "diff") == 0)
        return diff(words);
    return bnf_fail(BNF_ERR_CONFIG, "'%s' is none of ls, verify, diff (banff checkpoint --help)", verb);
}

bnf_status bnf_cmd_checkpoint(const bnf_comm *world, int argc, char **argv)
{
    bnf_arg_list words = {0};
    bool help = false, first = bnf_comm_rank(world) == 0;
    const bnf_arg args[] = {{"help", NULL, "print this", BNF_ARG_FLAG, &help}};
    BNF_TRY(bnf_args_parse(args, 1, argc, argv, &words));
    if (help) {
        if (first)
            bnf_args_help(stdout, "checkpoint ls|verify|diff PATH...", about, args, 1);
        return BNF_OK;
    }
    return bnf_comm_agree(world, first ? look(&words) : BNF_OK);
}
