#include "data/source.h"

#include "base/mem.h"
#include "comm/agree.h"

#include <stdarg.h>
#include <stdio.h>

bnf_status bnf_source_set_names(bnf_source *source, int64_t classes, const char *const *names)
{
    BNF_TRY(bnf_calloc((size_t)classes, sizeof *source->class_names, "class names", &source->class_names));
    source->classes = classes;
    for (int64_t i = 0; i < classes; i++) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)i);
        BNF_TRY(bnf_strdup(names ? names[i] : number, &source->class_names[i]));
    }
    return BNF_OK;
}

bnf_status bnf_source_describe(bnf_source *source, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return bnf_strdup(text, &source->description);
}

void bnf_source_release(bnf_source *source)
{
    for (int64_t i = 0; source->class_names && i < source->classes; i++)
        bnf_free(source->class_names[i]);
    bnf_free(source->class_names);
    bnf_free(source->description);
    source->class_names = NULL;
    source->description = NULL;
}

void bnf_source_free(bnf_source *source)
{
    bnf_source_release(source);
    bnf_free(source);
}

bnf_status bnf_source_settle(const bnf_comm *comm, bnf_status status, bnf_source *made, bnf_source **source)
{
    *source = NULL;
    status = bnf_comm_agree(comm, status);
    if (status == BNF_OK)
        *source = made;
    else if (made)
        made->destroy(made);
    return status;
}
