/* report/metrics.h - the metrics of a run as JSON Lines: one object per line, such as
 *
 *     {"kind": "train", "step": 120, "epoch": 2, "loss": 0.4313, "lr": 0.0005}
 *
 * Every line is in the file as a whole when bnf_metrics_end returns. One writer per run, on one rank; not
 * collective, not thread-safe. */
#ifndef BNF_REPORT_METRICS_H
#define BNF_REPORT_METRICS_H

#include <banff/base.h>

typedef struct bnf_metrics bnf_metrics;

#define BNF_METRICS_FRESH INT64_C(-1)

/* Opens the file for appending.
 *   resume_step  BNF_METRICS_FRESH: begins an empty file. Else a run goes on after `resume_step` finished steps: the
 *                lines before the first one with "step" > resume_step stay, the rest is cut off; a last line that is
 *                broken (the process was killed while writing) is cut off as well. A missing file is begun.
 * [out] metrics owned. Errors: BNF_ERR_IO naming the file; BNF_ERR_FORMAT naming file and line if a line before the
 * last is no JSON object with a number "step". */
bnf_status bnf_metrics_open(const char *path, int64_t resume_step, bnf_metrics **metrics);

/* One line: begin, any number of values, end. `kind` says what the line is about ("train", "eval", "certify");
 * "kind" and "step" are written first. Names must be unique within the line; a real that is not finite is written as
 * null. Failures stick until end returns them. Errors of end: BNF_ERR_IO naming the file, BNF_ERR_MEMORY; the line is
 * then not in the file, and the next one can be tried. */
void bnf_metrics_begin(bnf_metrics *metrics, const char *kind, int64_t step);
void bnf_metrics_real(bnf_metrics *metrics, const char *name, double value);
void bnf_metrics_int(bnf_metrics *metrics, const char *name, int64_t value);
void bnf_metrics_string(bnf_metrics *metrics, const char *name, const char *value);
bnf_status bnf_metrics_end(bnf_metrics *metrics);

/* Closes and releases; NULL is legal. */
bnf_status bnf_metrics_close(bnf_metrics *metrics);

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* The lines of a metrics file. */
typedef struct bnf_metrics_log bnf_metrics_log;

/* Reads a whole file; a broken last line is left out. [out] log owned. Errors: BNF_ERR_IO, BNF_ERR_FORMAT naming
 * file and line, BNF_ERR_MEMORY. */
bnf_status bnf_metrics_read(const char *path, bnf_metrics_log **log);
void bnf_metrics_log_destroy(bnf_metrics_log *log); /* NULL is legal */

/* Number of lines. */
int64_t bnf_metrics_log_count(const bnf_metrics_log *log);

/* All values of a number over time. A line counts if its kind is `kind` and it has the number `name`; null is NaN.
 * [out] steps[count], values[count] owned by the caller (bnf_free), in the order of the file. count may be 0. */
bnf_status bnf_metrics_series(const bnf_metrics_log *log, const char *kind, const char *name, double **steps,
                              double **values, int64_t *count);

/* The last value of a number, NaN if there is none. */
double bnf_metrics_last(const bnf_metrics_log *log, const char *kind, const char *name);

#endif
