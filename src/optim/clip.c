/* Clipping by the norm of all gradients or of one. */
#include <banff/optim.h>

#include <math.h>

enum { LANES = 8, BLOCK = 4096 };

/* Element i of the block goes to lane i % LANES. The product of two f32 is exact in f64, so fused and separate
 * multiply-add give the same bits. */
static double block_sumsq(const float *x, int64_t n)
{
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * (double)x[i + j];
    }
    for (int j = 0; i + j < n; j++)
        lane[j] += (double)x[i + j] * (double)x[i + j];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

double bnf_optim_sumsq(const float *x, int64_t n)
{
    double total = 0.0;
    for (int64_t i = 0; i < n; i += BLOCK)
        total += block_sumsq(x + i, n - i < BLOCK ? n - i : BLOCK);
    return total;
}

double bnf_optim_clip_scale(double total_sumsq, double max_norm)
{
    if (!isfinite(total_sumsq))
        return NAN;
    if (max_norm <= 0.0)
        return 1.0;
    const double scale = max_norm / (sqrt(total_sumsq) + 1e-6);
    return scale < 1.0 ? scale : 1.0;
}

double bnf_optim_clip_variable(double sumsq, double max_norm)
{
    const double norm = sqrt(sumsq);
    return max_norm > 0.0 && norm > max_norm ? max_norm / norm : 1.0;
}
