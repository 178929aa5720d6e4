/* base/log.h - messages about the run for a person: to the console and to the log file of a run folder.
 *
 * The library never prints by itself: until a program adds a sink, messages go nowhere. Rank 0 speaks for all;
 * other ranks are heard with warnings and errors only, and then with their rank. Thread-safe; a message is one
 * write of whole lines, so that messages of several processes do not mix within a line. A message that cannot be
 * written is dropped: a full disk under the log file must not end a training run (the metrics and checkpoints
 * report such errors themselves). */
#ifndef BNF_BASE_LOG_H
#define BNF_BASE_LOG_H

#include <banff/base.h>
#include <stdbool.h>
#include <stdio.h>

typedef enum bnf_log_level {
    BNF_LOG_ERROR = 0,
    BNF_LOG_WARNING,
    BNF_LOG_INFO,
    BNF_LOG_DEBUG,
    BNF_LOG_LEVEL_COUNT
} bnf_log_level;

/* "error", "warning", "info", "debug"; NULL-terminated, usable as the choices of a configuration key. */
extern const char *const bnf_log_level_names[BNF_LOG_LEVEL_COUNT + 1];

#define BNF_LOG_MAX_SINKS 4

/* Adds a stream that receives messages of `level` and more serious ones. `stream` is borrowed until
 * bnf_log_remove_sink.
 *   stamped  put the wall-clock time and the level before every message (log files); else only "warning: ", "error: "
 * Errors: BNF_ERR_ARG when there are BNF_LOG_MAX_SINKS already. */
bnf_status bnf_log_add_sink(FILE *stream, bnf_log_level level, bool stamped);

/* Nothing is written to `stream` after it returned. Legal if it is no sink. */
void bnf_log_remove_sink(FILE *stream);

/* One message, printf format, without a final newline. */
void bnf_log_write(bnf_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define bnf_log_error(...) bnf_log_write(BNF_LOG_ERROR, __VA_ARGS__)
#define bnf_log_warning(...) bnf_log_write(BNF_LOG_WARNING, __VA_ARGS__)
#define bnf_log_info(...) bnf_log_write(BNF_LOG_INFO, __VA_ARGS__)
#define bnf_log_debug(...) bnf_log_write(BNF_LOG_DEBUG, __VA_ARGS__)

#endif
