/* la/vec.c */
#include "la/vec.h"

#include "base/assert.h"

#include <math.h>
#include <string.h>

#define LANES 16

static double sum_lanes(double *acc)
{
    for (int width = LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            acc[l] += acc[l + width];
    return acc[0];
}

static double dot_f32(int64_t n, const float *x, const float *y)
{
    double acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            acc[l] += (double)x[i + l] * (double)y[i + l];
    for (; i < n; i++)
        acc[i % LANES] += (double)x[i] * (double)y[i];
    return sum_lanes(acc);
}

static double dot_f64(int64_t n, const double *x, const double *y)
{
    double acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            acc[l] += x[i + l] * y[i + l];
    for (; i < n; i++)
        acc[i % LANES] += x[i] * y[i];
    return sum_lanes(acc);
}

double bnf_la_dot(bnf_dtype t, int64_t n, const void *x, const void *y)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    return t == BNF_F32 ? dot_f32(n, x, y) : dot_f64(n, x, y);
}

double bnf_la_nrm2(bnf_dtype t, int64_t n, const void *x)
{
    return sqrt(bnf_la_dot(t, n, x, x));
}

static double dist_f32(int64_t n, const float *x, const float *y)
{
    double acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            double d = (double)x[i + l] - (double)y[i + l];
            acc[l] += d * d;
        }
    for (; i < n; i++) {
        double d = (double)x[i] - (double)y[i];
        acc[i % LANES] += d * d;
    }
    return sum_lanes(acc);
}

static double dist_f64(int64_t n, const double *x, const double *y)
{
    double acc[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            double d = x[i + l] - y[i + l];
            acc[l] += d * d;
        }
    for (; i < n; i++) {
        double d = x[i] - y[i];
        acc[i % LANES] += d * d;
    }
    return sum_lanes(acc);
}

double bnf_la_dist2(bnf_dtype t, int64_t n, const void *x, const void *y)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    return sqrt(t == BNF_F32 ? dist_f32(n, x, y) : dist_f64(n, x, y));
}

static void axpby_f32(int64_t n, float a, const float *x, float b, float *y)
{
    if (b == 0.0f)
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i] + b * y[i];
}

static void axpby_f64(int64_t n, double a, const double *x, double b, double *y)
{
    if (b == 0.0)
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = a * x[i] + b * y[i];
}

void bnf_la_axpby(bnf_dtype t, int64_t n, double a, const void *x, double b, void *y)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    if (t == BNF_F32)
        axpby_f32(n, (float)a, x, (float)b, y);
    else
        axpby_f64(n, a, x, b, y);
}

void bnf_la_convert(bnf_dtype from, bnf_dtype to, int64_t n, const void *x, void *y)
{
    BNF_ASSERT((from == BNF_F32 || from == BNF_F64) && (to == BNF_F32 || to == BNF_F64));
    if (from == to) {
        memcpy(y, x, (size_t)n * bnf_dtype_size(from));
    } else if (from == BNF_F32) {
        const float *xf = x;
        double *yd = y;
        for (int64_t i = 0; i < n; i++)
            yd[i] = (double)xf[i];
    } else {
        const double *xd = x;
        float *yf = y;
        for (int64_t i = 0; i < n; i++)
            yf[i] = (float)xd[i];
    }
}

bool bnf_la_finite(bnf_dtype t, int64_t n, const void *x)
{
    BNF_ASSERT(t == BNF_F32 || t == BNF_F64);
    bool ok = true;
    if (t == BNF_F32)
        for (int64_t i = 0; i < n; i++)
            ok &= isfinite(((const float *)x)[i]) != 0;
    else
        for (int64_t i = 0; i < n; i++)
            ok &= isfinite(((const double *)x)[i]) != 0;
    return ok;
}
