/* Writes a data set as another program might: images f32 [N,8,8,1] and labels, no attributes. KIND says what is
 * wrong with it. "unwritten": u8 [N,256,256,1] in chunks of 16 that take no place on the disk, classes in runs. */
#include "h5/dataset.h"
#include "h5/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 8, W = 8 };

static bnf_status write_array(bnf_h5_file *file, const char *name, bnf_dtype dtype, int ndim, const int64_t *dim,
                              const void *data)
{
    bnf_h5_dataset *dataset;
    BNF_TRY(bnf_h5_dataset_create(file, name, dtype, ndim, dim, NULL, &dataset));
    bnf_status s = bnf_h5_dataset_write(dataset, dtype, data);
    bnf_status closed = bnf_h5_dataset_close(dataset);
    return s != BNF_OK ? s : closed;
}

static bnf_status write_set(const char *path, int64_t n, float *images, int32_t *labels)
{
    bnf_h5_file *file;
    const int64_t dim[4] = {n, H, W, 1};
    BNF_TRY(bnf_h5_file_create(path, &file));
    bnf_status s = write_array(file, "/train/images", BNF_F32, 4, dim, images);
    if (s == BNF_OK)
        s = write_array(file, "/train/labels", BNF_I32, 1, dim, labels);
    bnf_status closed = bnf_h5_file_close(file);
    return s != BNF_OK ? s : closed;
}

static bnf_status write_unwritten(const char *path, int64_t n, int32_t *labels)
{
    bnf_h5_file *file;
    bnf_h5_dataset *images;
    const int64_t dim[4] = {n, 256, 256, 1}, chunk[4] = {16, 256, 256, 1};
    for (int64_t i = 0; i < n; i++)
        labels[i] = (int32_t)(3 * i / n);
    BNF_TRY(bnf_h5_file_create(path, &file));
    bnf_status s =
        bnf_h5_dataset_create(file, "/train/images", BNF_U8, 4, dim, &(bnf_h5_storage){.chunk = chunk}, &images);
    if (s == BNF_OK)
        s = bnf_h5_dataset_close(images);
    if (s == BNF_OK)
        s = write_array(file, "/train/labels", BNF_I32, 1, dim, labels);
    bnf_status closed = bnf_h5_file_close(file);
    return s != BNF_OK ? s : closed;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: make_set FILE N sound|nan|infinity|label|unwritten\n");
        return 2;
    }
    int64_t n = atoll(argv[2]);
    const char *kind = argv[3];
    float *images = malloc((size_t)(n * H * W) * sizeof *images);
    int32_t *labels = malloc((size_t)n * sizeof *labels);
    if (!images || !labels)
        return 1;
    for (int64_t i = 0; i < n * H * W; i++)
        images[i] = (float)sin(1.7 * (double)i);
    for (int64_t i = 0; i < n; i++)
        labels[i] = (int32_t)(i % 3);
    if (strcmp(kind, "nan") == 0)
        images[(n - 3) * H * W + 5] = NAN;
    if (strcmp(kind, "infinity") == 0)
        images[(n - 3) * H * W + 5] = INFINITY;
    if (strcmp(kind, "label") == 0)
        labels[n - 2] = -4;
    bnf_status s =
        strcmp(kind, "unwritten") == 0 ? write_unwritten(argv[1], n, labels) : write_set(argv[1], n, images, labels);
    if (s != BNF_OK)
        fprintf(stderr, "make_set: %s\n", bnf_error_message());
    free(images);
    free(labels);
    return s == BNF_OK ? 0 : 1;
}
