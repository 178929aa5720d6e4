/* Round numbers for axes. */
#include "report/ticks.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void bnf_number_format(double value, int digits, size_t capacity, char *text)
{
    char plain[64], exponent[64];
    if (!isfinite(value)) {
        snprintf(text, capacity, "%s", isnan(value) ? "n/a" : value > 0 ? "inf" : "-inf");
        return;
    }
    const double size = fabs(value);
    const int magnitude = size > 0.0 ? (int)floor(log10(size)) : 0;
    const int decimals = digits - 1 - magnitude;
    snprintf(exponent, sizeof exponent, "%.*g", digits, value);
    if (magnitude < -4 || magnitude > 14) {
        snprintf(text, capacity, "%s", exponent);
        return;
    }
    snprintf(plain, sizeof plain, "%.*f", decimals > 0 ? decimals : 0, value);
    if (strchr(plain, '.') != NULL) {
        size_t n = strlen(plain);
        while (plain[n - 1] == '0')
            n--;
        plain[plain[n - 1] == '.' ? n - 1 : n] = '\0';
    }
    snprintf(text, capacity, "%s", strcmp(plain, "-0") == 0 ? "0" : plain);
}

/* The step nearest to span / wanted, on a logarithmic scale, that is 1, 2 or 5 times a power of ten. */
static double nice_step(double span, int wanted)
{
    const double raw = span / wanted;
    const double power = pow(10.0, floor(log10(raw)));
    const double mantissa = raw / power;
    return power * (mantissa < 1.41 ? 1.0 : mantissa < 3.16 ? 2.0 : mantissa < 7.07 ? 5.0 : 10.0);
}

static void tick_text(double value, double step, bool percent, double largest, char *text)
{
    double shown = percent ? 100.0 * value : value, unit = percent ? 100.0 * step : step;
    const char *suffix = percent ? "%" : "";
    if (!percent && largest >= 1e4 && largest < 1e9 && unit >= 1e2) {
        const double scale = largest >= 2e6 ? 1e6 : 1e3;
        suffix = largest >= 2e6 ? "M" : "k";
        shown /= scale;
        unit /= scale;
    }
    if (largest >= 1e9 || (unit < 1e-5 && !percent)) {
        bnf_number_format(fabs(value) < step * 1e-6 ? 0.0 : value, 3, BNF_TICK_TEXT, text);
        return;
    }
    /* The digits of the step: two for a step of 0.05, one more for 0.025, which never occurs. */
    const int decimals = (int)fmax(0.0, ceil(-log10(unit) - 1e-9));
    if (fabs(shown) < unit * 1e-6)
        snprintf(text, BNF_TICK_TEXT, "%s", percent ? "0%" : "0");
    else
        snprintf(text, BNF_TICK_TEXT, "%.*f%s", decimals, shown, suffix);
}

static bnf_ticks place(double low, double high, double step, bool percent)
{
    bnf_ticks t = {.min = low, .max = high};
    const double largest = fmax(fabs(low), fabs(high));
    const double first = ceil(low / step - 1e-6);
    for (int i = 0; i < BNF_TICKS_MAX; i++) {
        const double value = (first + i) * step;
        if (value > high + step * 1e-6)
            break;
        t.at[t.count] = value;
        tick_text(value, step, percent, largest, t.text[t.count]);
        t.count++;
    }
    return t;
}

static void widen(double *low, double *high)
{
    BNF_ASSERT(isfinite(*low) && isfinite(*high) && *low <= *high);
    const double size = fmax(fabs(*low), fabs(*high));
    if (*high - *low > 1e-9 * size && *high - *low > 1e-300)
        return;
    const double half = size > 0.0 ? 0.1 * size : 0.5;
    *low -= half;
    *high += half;
}

bnf_ticks bnf_ticks_linear(double low, double high, int wanted, bool percent)
{
    widen(&low, &high);
    const double step = nice_step(high - low, wanted);
    return place(floor(low / step + 1e-6) * step, ceil(high / step - 1e-6) * step, step, percent);
}

bnf_ticks bnf_ticks_inside(double low, double high, int wanted, bool percent)
{
    widen(&low, &high);
    return place(low, high, nice_step(high - low, wanted), percent);
}

bnf_ticks bnf_ticks_log(double low, double high)
{
    static const double factors[3] = {1.0, 2.0, 5.0};
    BNF_ASSERT(low > 0.0 && high >= low && isfinite(high));
    bnf_ticks t = {.min = low / 1.05, .max = high * 1.05};
    const int first = (int)floor(log10(low)) - 1, last = (int)ceil(log10(high));
    const int per_decade = last - first <= 4 ? 3 : 1;
    const int stride = 1 + (last - first) / 10; /* every decade, every second one over more than ten decades */
    for (int decade = first; decade <= last; decade++) {
        for (int f = 0; f < per_decade && t.count < BNF_TICKS_MAX; f++) {
            const double value = factors[f] * pow(10.0, decade);
            if (value < t.min || value > t.max || (per_decade == 1 && decade % stride != 0))
                continue;
            t.at[t.count] = value;
            bnf_number_format(value, 3, BNF_TICK_TEXT, t.text[t.count]);
            t.count++;
        }
    }
    return t;
}
