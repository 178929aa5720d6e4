/* recipes/lipschitz/metrics_human.h - maps of what people look at, for the alignment metric.
 *
 * The file is HDF5, .npz or .npy: `maps` f32 [n, height, width] (.npy: the only array), each of the whole picture, and
 * optionally `samples` i64 [n], the numbers of the samples in the split that they belong to; without it map i belongs
 * to sample i.
 *
 * A map is prepared as the published evaluation on ClickMe does it (there 256 x 256 -> 64 x 64 -> blur -> 224 x 224):
 *   1. resized to side x side (0: left as it is): bilinear between the four nearest pixel centres, centres at halves,
 *      edges held, nothing averaged when shrinking (as TensorFlow's resize by default);
 *   2. blurred by a kernel x kernel Gaussian of width sigma (kernel 0: not blurred), zeros outside. A kernel of even
 *      size k reaches from -(k-1)/2 to k/2 pixels; its weights are exp(-o^2 / 2 sigma^2) of the row offset o, and of
 *      the column offset less 1 (a quirk of the reference, kept), normalised to sum 1;
 *   3. resized to the network's input. */
#ifndef BNF_RECIPES_LIPSCHITZ_METRICS_HUMAN_H
#define BNF_RECIPES_LIPSCHITZ_METRICS_HUMAN_H

#include <banff/base.h>

typedef struct bnf_lipschitz_human_settings {
    int64_t side, kernel; /* 64, 10 */
    double sigma;         /* 10 */
} bnf_lipschitz_human_settings;

/* Prepared maps of samples first...first+n-1: NULL where there is none. */
typedef struct bnf_lipschitz_human {
    float *values;
    const float **map; /* [n] of [h, w] each */
    int64_t count;     /* how many are not NULL */
} bnf_lipschitz_human;

/* Reads the maps of samples [first, first + n) and prepares them for pictures of h x w. Not collective. [out] human
 * owned, release with bnf_lipschitz_human_release. Errors: BNF_ERR_IO, BNF_ERR_FORMAT and BNF_ERR_CONFIG that name the
 * file (shape, type, a sample twice, values that are not finite), BNF_ERR_MEMORY. */
bnf_status bnf_lipschitz_human_read(const char *path, const bnf_lipschitz_human_settings *settings, int64_t first,
                                    int64_t n, int64_t h, int64_t w, bnf_lipschitz_human *human);
void bnf_lipschitz_human_release(bnf_lipschitz_human *human); /* legal on a zeroed one */

/* The parts: from[h, w] bilinear to to[to_h, to_w]; blurred[h, w]. */
void bnf_lipschitz_human_resize(const float *from, int64_t h, int64_t w, float *to, int64_t to_h, int64_t to_w);
bnf_status bnf_lipschitz_human_blur(const float *map, int64_t h, int64_t w, int64_t kernel, double sigma,
                                    float *blurred);

#endif
