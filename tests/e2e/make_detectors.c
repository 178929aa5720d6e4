/* Writes detector images for tests/e2e/detectors.sh: FILE.h5 as an experiment does, three detectors of 286 x 360 cells;
 * FILE.npz as NumPy does, f32 images of 72 x 58 and their labels as f32, all 1. "bad": one value is infinite. */
#include "unit/detector_files.h"

#include "train/npz.h"

#include <stdio.h>
#include <string.h>

static int write_archive(const char *path, int64_t first, int64_t n, bool bad)
{
    enum { CELLS = 72 * 58 };
    const bnf_desc shape = bnf_desc_4d(BNF_F32, n, 72, 58, 1), list = bnf_desc_1d(BNF_F32, n);
    float *images = malloc((size_t)(n * CELLS) * sizeof *images), *labels = malloc((size_t)n * sizeof *labels);
    bnf_npz npz = {0};
    int failed = !images || !labels;

    for (int64_t i = 0; !failed && i < n * CELLS; i++)
        images[i] = bad && i == n * CELLS - 1 ? INFINITY : detector_cell(first + i / CELLS, i % CELLS, 0);
    for (int64_t i = 0; !failed && i < n; i++)
        labels[i] = 1;
    failed = failed || bnf_npz_add(&npz, "images", &shape, images) != BNF_OK ||
             bnf_npz_add(&npz, "labels", &list, labels) != BNF_OK || bnf_npz_write(&npz, path) != BNF_OK;
    bnf_npz_release(&npz);
    free(images);
    free(labels);
    return failed;
}

int main(int argc, char **argv)
{
    static const char *const detectors[] = {"ImageTrk_PUcorr", "ImageECAL", "ImageHCAL"};
    if (argc < 4) {
        fprintf(stderr, "usage: make_detectors FILE.h5|FILE.npz FIRST N [bad]\n");
        return 2;
    }
    const int64_t first = atoll(argv[2]), n = atoll(argv[3]);
    const bool bad = argc > 4;
    return strstr(argv[1], ".npz") ? write_archive(argv[1], first, n, bad)
                                   : detector_write(argv[1], first, n, 286, 360, 3, detectors, bad);
}
