/* The progress line. */
#include "report/progress.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_BYTES = 512, MIN_BAR = 8, MAX_BAR = 40, DEFAULT_WIDTH = 80 };

#define REDRAW_SECONDS 0.1
#define RATE_SECONDS 10.0 /* the rate forgets with this time constant */

struct bnf_progress {
    bnf_progress_options options;
    bool open_line;      /* the cursor stands behind a drawn bar */
    int drawn;           /* columns that the last drawing filled */
    double last_draw;    /* clock of the last drawing or line */
    double last_seconds; /* clock and step of the last update, for the rate */
    int64_t last_step;
    double rate; /* steps per second, 0: unknown */
    char line[LINE_BYTES];
};

void bnf_duration_format(double seconds, size_t capacity, char *text)
{
    if (!isfinite(seconds) || seconds < 0.0 || seconds > 86400.0 * 9999.0) {
        snprintf(text, capacity, "--");
        return;
    }
    const long long s = llround(seconds);
    if (s < 60)
        snprintf(text, capacity, "%llds", s);
    else if (s < 3600)
        snprintf(text, capacity, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, capacity, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, capacity, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

bnf_status bnf_progress_create(const bnf_progress_options *options, double seconds, bnf_progress **progress)
{
    bnf_progress *p = NULL;
    BNF_TRY(bnf_calloc(1, sizeof *p, "progress", &p));
    p->options = *options;
    if (p->options.mode == BNF_PROGRESS_AUTO)
        p->options.mode = isatty(fileno(options->out)) ? BNF_PROGRESS_BAR : BNF_PROGRESS_PLAIN;
    p->last_draw = seconds;
    p->last_seconds = seconds;
    p->last_step = options->first_step;
    *progress = p;
    return BNF_OK;
}

static int line_width(const bnf_progress *p)
{
    if (p->options.width > 0)
        return p->options.width;
    struct winsize size;
    if (ioctl(fileno(p->options.out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return DEFAULT_WIDTH;
}

static void update_rate(bnf_progress *p, const bnf_progress_state *state)
{
    const double elapsed = state->seconds - p->last_seconds;
    const int64_t steps = state->step - p->last_step;
    if (elapsed <= 0.0 || steps <= 0)
        return;
    const double now = (double)steps / elapsed;
    const double keep = p->rate > 0.0 ? exp(-elapsed / RATE_SECONDS) : 0.0;
    p->rate = keep * p->rate + (1.0 - keep) * now;
    p->last_seconds = state->seconds;
    p->last_step = state->step;
}

/* Appends to a line; what does not fit is cut. */
static size_t append(char *line, size_t at, const char *format, double value)
{
    const int n = snprintf(line + at, LINE_BYTES - at, format, value);
    if (n < 0)
        return at;
    return at + (size_t)n < LINE_BYTES ? at + (size_t)n : LINE_BYTES - 1;
}

/* "  loss 0.4313  acc 86.02%  52.1k/s  ETA 3m07s" */
static void format_figures(const bnf_progress *p, const bnf_progress_state *state, char *text)
{
    const int64_t total = p->options.epochs * p->options.steps_per_epoch;
    size_t at = 0;
    text[0] = '\0';
    if (!isnan(state->loss))
        at = append(text, at, "  loss %.4f", state->loss);
    if (!isnan(state->accuracy))
        at = append(text, at, "  acc %.2f%%", 100.0 * state->accuracy);
    const double samples = bnf_progress_rate(p);
    if (samples >= 1e5)
        at = append(text, at, "  %.0fk/s", samples / 1e3);
    else if (samples > 0.0)
        at = append(text, at, samples < 100.0 ? "  %.1f/s" : "  %.0f/s", samples);
    if (p->rate > 0.0 && state->step < total) {
        char eta[16];
        bnf_duration_format((double)(total - state->step) / p->rate, sizeof eta, eta);
        snprintf(text + at, LINE_BYTES - at, "  ETA %s", eta);
    }
}

/* Epoch and step within it, both from 1; the last step of an epoch belongs to it. */
static void position(const bnf_progress *p, int64_t step, int64_t *epoch, int64_t *in_epoch)
{
    const int64_t per = p->options.steps_per_epoch > 0 ? p->options.steps_per_epoch : 1;
    *epoch = step > 0 ? (step - 1) / per + 1 : 1;
    *in_epoch = step - (*epoch - 1) * per;
}

static void draw_bar(bnf_progress *p, const bnf_progress_state *state)
{
    int64_t epoch = 0, in_epoch = 0;
    char figures[LINE_BYTES];
    position(p, state->step, &epoch, &in_epoch);
    format_figures(p, state, figures);
    const int width =
        line_width(p) - 1 < LINE_BYTES - 1 ? line_width(p) - 1 : LINE_BYTES - 1; /* the last column may wrap */
    const int64_t per = p->options.steps_per_epoch > 0 ? p->options.steps_per_epoch : 1;
    int n = snprintf(p->line, LINE_BYTES, "epoch %lld/%lld ", (long long)epoch, (long long)p->options.epochs);
    int bar = width - n - (int)strlen(figures) - 2;
    if (bar >= MIN_BAR) {
        bar = bar < MAX_BAR ? bar : MAX_BAR;
        const int full = (int)(in_epoch * bar / per);
        p->line[n++] = '[';
        for (int i = 0; i < bar; i++)
            p->line[n++] = i < full ? '=' : i == full ? '>' : ' ';
        p->line[n++] = ']';
        p->line[n] = '\0';
    } else {
        n += snprintf(p->line + n, LINE_BYTES - (size_t)n, "%3lld%%", (long long)(100 * in_epoch / per));
    }
    n += snprintf(p->line + n, LINE_BYTES - (size_t)n, "%s", figures);
    n = n < width ? n : width;
    /* Text first, blanks over the rest of the old one after: nothing is ever erased that stays. */
    const int rest = p->drawn > n ? p->drawn - n : 0;
    fprintf(p->options.out, "\r%.*s%*s", n, p->line, rest, "");
    fflush(p->options.out);
    p->drawn = n;
    p->open_line = true;
}

static void print_plain(bnf_progress *p, const bnf_progress_state *state)
{
    int64_t epoch = 0, in_epoch = 0;
    char figures[LINE_BYTES];
    position(p, state->step, &epoch, &in_epoch);
    format_figures(p, state, figures);
    fprintf(p->options.out, "epoch %lld/%lld  step %lld/%lld%s\n", (long long)epoch, (long long)p->options.epochs,
            (long long)in_epoch, (long long)p->options.steps_per_epoch, figures);
    fflush(p->options.out);
}

void bnf_progress_update(bnf_progress *p, const bnf_progress_state *state)
{
    if (p->options.mode == BNF_PROGRESS_OFF)
        return;
    update_rate(p, state);
    const int64_t per = p->options.steps_per_epoch > 0 ? p->options.steps_per_epoch : 1;
    const bool epoch_end = state->step > 0 && state->step % per == 0;
    const double since = state->seconds - p->last_draw;
    if (p->options.mode == BNF_PROGRESS_BAR) {
        if (!epoch_end && p->open_line && since < REDRAW_SECONDS)
            return;
        draw_bar(p, state);
    } else {
        if (!epoch_end && !(p->options.plain_seconds > 0.0 && since >= p->options.plain_seconds))
            return;
        print_plain(p, state);
    }
    p->last_draw = state->seconds;
}

void bnf_progress_note(bnf_progress *p, const char *text)
{
    if (p->options.mode == BNF_PROGRESS_OFF)
        return;
    if (p->open_line) {
        const int n = (int)strlen(text);
        fprintf(p->options.out, "\r%s%*s\n%.*s", text, p->drawn > n ? p->drawn - n : 0, "", p->drawn, p->line);
    } else {
        fprintf(p->options.out, "%s\n", text);
    }
    fflush(p->options.out);
}

void bnf_progress_finish(bnf_progress *p)
{
    if (!p->open_line)
        return;
    fputc('\n', p->options.out);
    fflush(p->options.out);
    p->open_line = false;
    p->drawn = 0;
}

double bnf_progress_rate(const bnf_progress *p)
{
    return p->rate * (double)p->options.samples_per_step;
}

void bnf_progress_destroy(bnf_progress *p)
{
    if (p == NULL)
        return;
    bnf_progress_finish(p);
    bnf_free(p);
}
