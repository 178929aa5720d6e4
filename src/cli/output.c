#include "cli/output.h"

bnf_status bnf_output_check(bnf_import_output *output, int64_t deflate)
{
    if (!output->path)
        return bnf_fail(BNF_ERR_CONFIG, "--out FILE is needed");
    if (deflate < 0 || deflate > 9)
        return bnf_fail(BNF_ERR_CONFIG, "--deflate %lld: it must be 0 to 9", (long long)deflate);
    output->deflate = (int)deflate;
    return BNF_OK;
}

bnf_status bnf_output_help(const bnf_comm *world, const char *synopsis, const char *about, const bnf_arg *args,
                           int count)
{
    if (bnf_comm_rank(world) == 0)
        bnf_args_help(stdout, synopsis, about, args, count);
    return BNF_OK;
}

void bnf_output_print(const bnf_comm *world, const char *path, const bnf_import_summary *s)
{
    if (bnf_comm_rank(world) != 0)
        return;
    if (s->h == 0)
        printf("%s: %lld training and %lld test picture files of %lld bytes and %lld channels, %lld classes, checksum "
               "%s\n",
               path, (long long)s->count[BNF_TRAIN], (long long)s->count[BNF_TEST], (long long)s->bytes,
               (long long)s->c, (long long)s->classes, s->checksum);
    else
        printf("%s: %lld training and %lld test images of %lld x %lld x %lld, %lld classes, checksum %s\n", path,
               (long long)s->count[BNF_TRAIN], (long long)s->count[BNF_TEST], (long long)s->h, (long long)s->w,
               (long long)s->c, (long long)s->classes, s->checksum);
    if (s->ignored_files > 0)
        printf("left out, not named like a picture: %lld files\n", (long long)s->ignored_files);
}
