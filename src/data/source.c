#include "data/source.h"

#include "base/mem.h"
#include "comm/agree.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_CLASSES (1 << 20)

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

bnf_status bnf_source_set_classes(bnf_source *source, int64_t classes, int64_t name_count, const char *const *names,
                                  int64_t largest, const char *path)
{
    if (classes < 0 || classes > MAX_CLASSES)
        return bnf_fail(BNF_ERR_ARG, "%lld classes: it must be 1 to %d", (long long)classes, MAX_CLASSES);
    if (name_count > 0 && classes > 0 && name_count != classes)
        return bnf_fail(BNF_ERR_ARG, "%lld class names, but %lld classes are asked for", (long long)name_count,
                        (long long)classes);
    if (name_count > 0)
        return bnf_source_set_names(source, name_count, names);
    if (classes == 0 && largest >= MAX_CLASSES)
        return bnf_fail(BNF_ERR_FORMAT, "'%s': label %lld: labels count from 0, and there are at most %d classes", path,
                        (long long)largest, MAX_CLASSES);
    return bnf_source_set_names(source, classes > 0 ? classes : largest + 1, NULL);
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
