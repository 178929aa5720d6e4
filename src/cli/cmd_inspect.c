/* banff inspect FILE: what a set of images, or a checkpoint, holds, and what the filters of a run look like. */
#include "base/mem.h"
#include "ckpt/checkpoint.h"
#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/inspect_filters.h"
#include "cli/inspect_reading.h"
#include "comm/agree.h"
#include "h5/dataset.h"

#include <banff/data.h>

#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))

static void print_storage(const bnf_h5_dataset_info *h5, int64_t sample_bytes)
{
    if (!h5->chunked) {
        printf("  stored       one block, ");
    } else {
        printf("  stored       chunks of %lld images, ", (long long)h5->chunk[0]);
        bnf_print_bytes((double)(h5->chunk[0] * sample_bytes));
        printf(" each");
        if (h5->deflate)
            printf(", deflate %d", h5->deflate);
        if (h5->shuffle)
            printf(", bytes shuffled");
        if (h5->fletcher32)
            printf(", chunk checksums");
        printf(", ");
    }
    bnf_print_bytes((double)h5->stored_bytes);
    printf(" in all");
    if (h5->deflate && h5->stored_bytes > 0)
        printf(", %.2f of the plain size", (double)h5->stored_bytes / (double)(h5->dim[0] * sample_bytes));
    printf("\n");
}

/* offsets[count + 1] of the images' cells in a sparse set; else NULL. */
static bnf_status print_classes(const bnf_dataset *ds, const int64_t *offsets)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    const int32_t *labels = bnf_dataset_labels(ds);
    int64_t *count, *cells, lowest = info->classes, highest = -1;

    BNF_TRY(bnf_calloc(2 * (size_t)info->classes, sizeof *count, "class counts", &count));
    cells = count + info->classes;
    for (int64_t i = 0; i < info->count; i++) {
        count[labels[i]]++;
        cells[labels[i]] += offsets ? offsets[i + 1] - offsets[i] : 0;
        lowest = labels[i] < lowest ? labels[i] : lowest;
        highest = labels[i] > highest ? labels[i] : highest;
    }
    printf("  labels       %lld..%lld of %lld classes\n", (long long)lowest, (long long)highest,
           (long long)info->classes);
    for (int64_t k = 0; k < info->classes; k++) {
        printf("  %8lld     %-24s %10lld  %5.1f %%", (long long)k, info->class_names[k], (long long)count[k],
               100.0 * (double)count[k] / (double)info->count);
        if (offsets && count[k] > 0)
            printf("  %8.1f cells an image", (double)cells[k] / (double)count[k]);
        printf("\n");
    }
    bnf_free(count);
    return BNF_OK;
}

static bnf_status describe_images(bnf_h5_file *file, const char *name, bnf_h5_dataset_info *h5)
{
    bnf_h5_dataset *images;
    BNF_TRY(bnf_h5_dataset_open(file, name, &images));
    bnf_status status = bnf_h5_dataset_describe(images, h5);
    bnf_status closed = bnf_h5_dataset_close(images);
    return status == BNF_OK ? closed : status;
}

static void print_pictures(const bnf_dataset_info *info)
{
    printf("/%s\n  pictures     %lld files, %lld channels, ", info->name, (long long)info->count, (long long)info->c);
    if (info->h > 0)
        printf("%lld x %lld pixels\n", (long long)info->h, (long long)info->w);
    else
        printf("of various sizes\n");
    printf("  stored       as files, ");
    bnf_print_bytes((double)info->stored_bytes);
    printf(" in all, ");
    bnf_print_bytes((double)info->stored_bytes / (double)info->count);
    printf(" each\n");
}

/* Collective, as print_split. */
static bnf_status print_cells(const bnf_comm *world, bnf_h5_file *file, const bnf_dataset *ds, double seconds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    const double per_image = (double)info->entries / (double)info->count;
    bnf_h5_dataset_info cells, values;
    char name[32];

    snprintf(name, sizeof name, "/%s/cells", info->name);
    bnf_status status = describe_images(file, name, &cells);
    snprintf(name, sizeof name, "/%s/values", info->name);
    BNF_TRY(bnf_comm_agree(world, status == BNF_OK ? describe_images(file, name, &values) : status));
    if (bnf_comm_rank(world) == 0) {
        printf("/%s\n  images       %s[%lld,%lld,%lld,%lld], of which the cells that are not zero: %.1f of an image "
               "(%.3f %%)\n",
               info->name, bnf_dtype_name(info->dtype), (long long)info->count, (long long)info->h, (long long)info->w,
               (long long)info->c, per_image, 100 * per_image / (double)(info->h * info->w * info->c));
        printf("  stored       ");
        if (cells.chunked)
            printf("chunks of %lld cells, deflate %d, ", (long long)cells.chunk[0], cells.deflate);
        bnf_print_bytes((double)(cells.stored_bytes + values.stored_bytes));
        printf(" in all; with all cells ");
        bnf_print_bytes((double)(info->count * info->sample_bytes));
        printf("\n");
    }
    return bnf_inspect_cells(world, ds, seconds);
}

/* The classes of a sparse set, with the cells of their images. Rank 0 alone. */
static bnf_status print_cell_classes(bnf_h5_file *file, const bnf_dataset *ds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    bnf_h5_dataset *d;
    int64_t *offsets = NULL;
    char name[32];

    snprintf(name, sizeof name, "/%s/offsets", info->name);
    BNF_TRY(bnf_h5_dataset_open(file, name, &d));
    bnf_status status = bnf_alloc((size_t)(info->count + 1) * sizeof *offsets, "offsets of a set", &offsets);
    if (status == BNF_OK)
        status = bnf_h5_dataset_read(d, BNF_I64, offsets);
    bnf_status closed = bnf_h5_dataset_close(d);
    status = status == BNF_OK ? closed : status;
    if (status == BNF_OK)
        status = print_classes(ds, offsets);
    bnf_free(offsets);
    return status;
}

/* Collective: reading is measured on all ranks; rank 0 prints. */
static bnf_status print_split(const bnf_comm *world, bnf_h5_file *file, const bnf_dataset *ds, double seconds)
{
    const bnf_dataset_info *info = bnf_dataset_get_info(ds);
    bnf_h5_dataset_info h5;
    bool root = bnf_comm_rank(world) == 0;
    char name[32];

    if (info->encoded) {
        if (root)
            print_pictures(info);
        BNF_TRY(bnf_inspect_pictures(world, ds, seconds));
        return bnf_comm_agree(world, root ? print_classes(ds, NULL) : BNF_OK);
    }
    if (info->sparse) {
        BNF_TRY(print_cells(world, file, ds, seconds));
        return bnf_comm_agree(world, root ? print_cell_classes(file, ds) : BNF_OK);
    }
    snprintf(name, sizeof name, "/%s/images", info->name);
    BNF_TRY(bnf_comm_agree(world, describe_images(file, name, &h5)));
    if (root) {
        printf("%s\n  images       %s[%lld,%lld,%lld,%lld]\n", name, bnf_dtype_name(info->dtype),
               (long long)info->count, (long long)info->h, (long long)info->w, (long long)info->c);
        print_storage(&h5, info->sample_bytes);
    }
    BNF_TRY(bnf_inspect_reading(world, ds, &h5, seconds));
    return bnf_comm_agree(world, root ? print_classes(ds, NULL) : BNF_OK);
}

static void print_head(const bnf_dataset_info *info)
{
    printf("%s\n  source       %s\n  checksum     %s\n", info->path, *info->source ? info->source : "(not stated)",
           *info->checksum ? info->checksum : "(not stated)");
    for (int k = 0; k < 2; k++) {
        printf(k == 0 ? "  mean        " : "  std         ");
        for (int64_t c = 0; info->has_stats && c < info->c; c++)
            printf(" %.6f", k == 0 ? info->mean[c] : info->std[c]);
        printf(info->has_stats ? "\n" : " (not stated)\n");
    }
}

/* One split, on all ranks: rank 0 prints, all verify. */
static bnf_status inspect_split(const bnf_comm *world, bnf_h5_file *file, const char *path, bnf_split split,
                                bool verify, double seconds)
{
    bnf_dataset *ds = NULL;
    bool root = bnf_comm_rank(world) == 0;
    bnf_status status = bnf_comm_agree(world, bnf_dataset_open(path, split, &ds));

    if (status == BNF_OK && root && split == BNF_TRAIN)
        print_head(bnf_dataset_get_info(ds));
    if (status == BNF_OK)
        status = print_split(world, file, ds, seconds);
    if (status == BNF_OK && verify) {
        status = bnf_dataset_verify(ds, world);
        if (status == BNF_OK && root)
            printf("  verified     content and stated checksum agree\n");
    }
    bnf_dataset_close(ds);
    return status;
}

static bnf_status inspect_file(const bnf_comm *world, const char *path, bool verify, double seconds)
{
    bnf_h5_file *file = NULL;
    bool test = false;
    bnf_status status = bnf_h5_file_open(path, &file);

    if (status == BNF_OK)
        status = bnf_dataset_has(path, BNF_TEST, &test);
    status = bnf_comm_agree(world, status);
    if (status == BNF_OK)
        status = inspect_split(world, file, path, BNF_TRAIN, verify, seconds);
    if (status == BNF_OK && test)
        status = inspect_split(world, file, path, BNF_TEST, verify, seconds);
    bnf_status closed = bnf_h5_file_close(file);
    return status == BNF_OK ? closed : status;
}

/* A checkpoint is verified as a whole when it is opened. Rank 0 alone. */
static bnf_status inspect_checkpoint(const char *path)
{
    bnf_ckpt_reader *reader;
    char *weights = NULL;
    BNF_TRY(bnf_ckpt_reader_open(path, &reader));
    bnf_status status = bnf_ckpt_reader_attr_str(reader, "weights", &weights);
    if (status == BNF_OK)
        printf("%s\n  checkpoint after step %lld, weights %s; all checksums hold\n", path,
               (long long)bnf_ckpt_reader_step(reader), weights);
    for (int64_t i = 0; status == BNF_OK && i < bnf_ckpt_reader_count(reader); i++) {
        const bnf_ckpt_entry *e = bnf_ckpt_reader_entry(reader, i);
        printf("  %-32s %s[", e->name, bnf_dtype_name(e->dtype));
        for (int k = 0; k < e->ndim; k++)
            printf("%s%lld", k ? "," : "", (long long)e->dim[k]);
        printf("] %016llx\n", (unsigned long long)e->checksum);
    }
    bnf_free(weights);
    bnf_ckpt_reader_close(reader);
    return status;
}

static bool is_checkpoint(const char *path)
{
    const char *name = strrchr(path, '/');
    return strncmp(name ? name + 1 : path, "ckpt-", 5) == 0;
}

bnf_status bnf_cmd_inspect(const bnf_comm *world, int argc, char **argv)
{
    bnf_arg_list files = {0};
    bool verify = false, filters = false, help = false;
    double seconds = 0.5;
    const bnf_arg args[] = {
        {"verify", NULL, "read all images and compare their checksum with the stated one", BNF_ARG_FLAG, &verify},
        {"seconds", "S", "how long to try reading each split (default 0.5; 0: not at all)", BNF_ARG_REAL, &seconds},
        {"filters", NULL, "FILE is a run folder or a checkpoint: entropy and variance of its spatial filters",
         BNF_ARG_FLAG, &filters},
        {"help", NULL, "print this", BNF_ARG_FLAG, &help},
    };

    BNF_TRY(bnf_args_parse(args, COUNT(args), argc, argv, &files));
    if (help) {
        if (bnf_comm_rank(world) == 0)
            bnf_args_help(
                stdout, "inspect FILE [--verify] [--seconds S] [--filters]",
                "Shows what a set of images holds (splits, shapes, storage, classes, statistics), how fast it can be\n"
                "read shuffled and what would make that faster; or a checkpoint\n"
                "(ckpt-*.h5: arrays and their checksums, which are verified). With --filters: the variance entropy of "
                "the\n"
                "spatial filters of a run, 1 being that of random 3 x 3 kernels, and RUN/filters.png with the variance "
                "at\n"
                "every position.",
                args, COUNT(args));
        return BNF_OK;
    }
    if (files.count != 1)
        return bnf_fail(BNF_ERR_CONFIG, "inspect: give one file");
    if (!(seconds >= 0 && seconds <= 3600))
        return bnf_fail(BNF_ERR_CONFIG, "--seconds %g: it must be between 0 and 3600", seconds);
    if (filters)
        return bnf_comm_agree(world, bnf_comm_rank(world) == 0 ? bnf_inspect_filters(files.item[0]) : BNF_OK);
    if (is_checkpoint(files.item[0]))
        return bnf_comm_agree(world, bnf_comm_rank(world) == 0 ? inspect_checkpoint(files.item[0]) : BNF_OK);
    return inspect_file(world, files.item[0], verify, seconds);
}
