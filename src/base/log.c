/* Messages about the run. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

/* A longer message is cut: logging may not allocate, it has to work when memory is gone. */
#define LINE_BYTES 8192

typedef struct sink {
    FILE *stream;
    bnf_log_level level;
    bool stamped;
} sink;

const char *const bnf_log_level_names[BNF_LOG_LEVEL_COUNT + 1] = {"error", "warning", "info", "debug", NULL};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sink sinks[BNF_LOG_MAX_SINKS]; /* under mutex; unused ones have no stream */

bnf_status bnf_log_add_sink(FILE *stream, bnf_log_level level, bool stamped)
{
    BNF_ASSERT(stream != NULL && (unsigned)level < BNF_LOG_LEVEL_COUNT);
    bool added = false;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < BNF_LOG_MAX_SINKS && !added; i++) {
        if (sinks[i].stream != NULL)
            continue;
        sinks[i] = (sink){stream, level, stamped};
        added = true;
    }
    pthread_mutex_unlock(&mutex);
    return added ? BNF_OK : bnf_fail(BNF_ERR_ARG, "a log can go to %d streams at most", BNF_LOG_MAX_SINKS);
}

void bnf_log_remove_sink(FILE *stream)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < BNF_LOG_MAX_SINKS; i++) {
        if (sinks[i].stream == stream)
            sinks[i] = (sink){0};
    }
    pthread_mutex_unlock(&mutex);
}

/* The line as it stands in `s`, with prefix and newline. Returns its length. */
static size_t format_line(const sink *s, bnf_log_level level, int rank, const char *message, char *line)
{
    char time[BNF_CLOCK_ISO_BYTES + 1] = "", who[32] = "", what[16] = "";
    if (s->stamped) {
        bnf_clock_iso(time);
        strcat(time, " ");
    }
    if (rank > 0)
        snprintf(who, sizeof who, "rank %d: ", rank);
    if (s->stamped || level <= BNF_LOG_WARNING)
        snprintf(what, sizeof what, "%s: ", bnf_log_level_names[level]);
    int length = snprintf(line, LINE_BYTES, "%s%s%s%s\n", time, who, what, message);
    if (length < LINE_BYTES)
        return (size_t)length;
    memcpy(line + LINE_BYTES - 5, "...\n", 5);
    return LINE_BYTES - 1;
}

void bnf_log_write(bnf_log_level level, const char *format, ...)
{
    BNF_ASSERT((unsigned)level < BNF_LOG_LEVEL_COUNT);
    const int rank = bnf_assert_rank();
    if (rank > 0 && level > BNF_LOG_WARNING)
        return;
    char message[LINE_BYTES - 128], line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < BNF_LOG_MAX_SINKS; i++) {
        if (sinks[i].stream == NULL || level > sinks[i].level)
            continue;
        const size_t length = format_line(&sinks[i], level, rank, message, line);
        fwrite(line, 1, length, sinks[i].stream);
        fflush(sinks[i].stream);
    }
    pthread_mutex_unlock(&mutex);
}
