/* Status names and the message of the calling thread. */
#include <banff/base.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

/* Fixed size: recording "out of memory" may not allocate. A longer message is cut and ends in "...". */
#define MESSAGE_BYTES 4096

static _Thread_local char message[MESSAGE_BYTES];

static void mark_cut(int wanted)
{
    if (wanted >= MESSAGE_BYTES)
        memcpy(message + MESSAGE_BYTES - 4, "...", 4);
}

const char *bnf_status_name(bnf_status s)
{
    static const char *const names[BNF_STATUS_COUNT] = {
        [BNF_OK] = "ok",
        [BNF_ERR_ARG] = "invalid argument",
        [BNF_ERR_MEMORY] = "out of memory",
        [BNF_ERR_IO] = "input/output error",
        [BNF_ERR_FORMAT] = "invalid file content",
        [BNF_ERR_CONFIG] = "invalid configuration",
        [BNF_ERR_COMM] = "communication error",
        [BNF_ERR_NUMERIC] = "numerical error",
        [BNF_ERR_UNSUPPORTED] = "not supported",
        [BNF_ERR_INTERRUPTED] = "interrupted",
        [BNF_ERR_REMOTE] = "another rank failed",
        [BNF_ERR_FENCED] = "the run folder belongs to another job",
        [BNF_ERR_LATE] = "a rank is late",
    };
    return (unsigned)s < BNF_STATUS_COUNT ? names[s] : "unknown status";
}

bnf_status bnf_fail(bnf_status code, const char *format, ...)
{
    BNF_ASSERT(code != BNF_OK);
    if (message[0] != '\0')
        return code;
    va_list args;
    va_start(args, format);
    mark_cut(vsnprintf(message, sizeof message, format, args));
    va_end(args);
    return code;
}

bnf_status bnf_fail_context(bnf_status code, const char *format, ...)
{
    BNF_ASSERT(code != BNF_OK);
    char inner[MESSAGE_BYTES];
    memcpy(inner, message, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (used >= 0 && used < MESSAGE_BYTES)
        used += snprintf(message + used, sizeof message - (size_t)used, ": %s",
                         inner[0] != '\0' ? inner : bnf_status_name(code));
    mark_cut(used);
    return code;
}

const char *bnf_error_message(void)
{
    return message;
}

void bnf_error_clear(void)
{
    message[0] = '\0';
}
