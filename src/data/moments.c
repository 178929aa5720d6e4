#include "data/moments.h"

#include "h5/attr.h"

#include <banff/data.h>

#include <math.h>

void bnf_moments_take(const float *pixels, int64_t count, int64_t channels, bnf_moments *moments)
{
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, spread = 0;
        for (int64_t i = 0; i < count; i++)
            sum += pixels[i * channels + c];
        double mean = sum / (double)count;
        for (int64_t i = 0; i < count; i++) {
            double d = pixels[i * channels + c] - mean;
            spread += d * d;
        }
        moments[c] = (bnf_moments){mean, spread};
    }
}

/* The first `a` pixels and `b` more. */
static bnf_moments merge(bnf_moments x, double a, bnf_moments y, double b)
{
    double d = y.mean - x.mean, n = a + b;
    return (bnf_moments){x.mean + d * (b / n), x.spread + y.spread + d * d * (a * b / n)};
}

bnf_status bnf_moments_write(const bnf_comm *comm, bnf_h5_file *file, int64_t pixels, int64_t block_pixels,
                             int64_t channels, bnf_moments *moments)
{
    double mean[BNF_DATA_MAX_CHANNELS], std[BNF_DATA_MAX_CHANNELS];
    int64_t blocks = (pixels + block_pixels - 1) / block_pixels;

    /* Each is a number of one rank and zeros of the others: the sum is exact. */
    BNF_TRY(bnf_comm_allreduce_f64(comm, BNF_COMM_SUM, &moments->mean, 2 * blocks * channels));
    for (int64_t c = 0; c < channels; c++) {
        bnf_moments all = moments[c];
        for (int64_t k = 1, seen = block_pixels; k < blocks; k++, seen += block_pixels) {
            int64_t more = pixels - seen < block_pixels ? pixels - seen : block_pixels;
            all = merge(all, (double)seen, moments[k * channels + c], (double)more);
        }
        mean[c] = all.mean;
        std[c] = sqrt(all.spread / (double)pixels);
    }
    BNF_TRY(bnf_h5_attr_set_reals(file, "/", "mean", channels, mean));
    return bnf_h5_attr_set_reals(file, "/", "std", channels, std);
}
