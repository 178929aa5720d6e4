/* cli/inspect_filters.c - statistics of spatial filters as a table and a picture. */
#include "cli/inspect_filters.h"

#include "base/fs.h"
#include "base/mem.h"
#include "train/filters.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Mean of a map's rim. */
static double rim_of(const bnf_filters_layer *l)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t y = 0; y < l->height; y++)
        for (int64_t x = 0; x < l->width; x++)
            if (y == 0 || x == 0 || y == l->height - 1 || x == l->width - 1) {
                sum += l->map[y * l->width + x];
                n++;
            }
    return sum / (double)n;
}

static void print_table(const bnf_filters *f)
{
    int name = 6;
    for (int64_t i = 0; i < f->count; i++)
        name = (int)strlen(f->layer[i].name) > name ? (int)strlen(f->layer[i].name) : name;
    printf("%*s  %-16s  variance of positions\n", name, "", "variance entropy");
    printf("%-*s  %8s %7s  %6s %6s  kernels\n", name, "weight", "entropy", "/random", "centre", "rim");
    for (int64_t i = 0; i < f->count; i++) {
        const bnf_filters_layer *l = &f->layer[i];
        printf("%-*s  %8.4f ", name, l->name, l->entropy);
        if (isnan(l->relative))
            printf("%7s", "-");
        else
            printf("%7.3f", l->relative);
        printf("  %6.3f %6.3f  %lld x %lld of %lld x %lld\n", l->map[l->height / 2 * l->width + l->width / 2],
               rim_of(l), (long long)l->out, (long long)l->in, (long long)l->height, (long long)l->width);
    }
}

static bnf_status describe(const char *checkpoint, const char *folder)
{
    bnf_filters f;
    bnf_buf picture = {0};
    BNF_TRY(bnf_filters_read(checkpoint, &f));
    bnf_status s = bnf_fs_join(&picture, folder, "filters.png");
    if (s == BNF_OK)
        s = bnf_filters_draw(&f, bnf_buf_text(&picture));
    if (s == BNF_OK) {
        printf("%s\n", checkpoint);
        print_table(&f);
        printf("%s: the variance maps in this order, 8 a row, from 0 (dark) to %.3f\n", bnf_buf_text(&picture), f.most);
    }
    bnf_buf_release(&picture);
    bnf_filters_release(&f);
    return s;
}

/* RUN/checkpoints/FILE.h5 -> RUN; what lies elsewhere: its own folder. */
static bnf_status of_checkpoint(const char *path)
{
    bnf_buf folder = {0}, run = {0};
    bnf_status s = bnf_fs_folder_of(&folder, path);
    const char *name = strrchr(bnf_buf_text(&folder), '/');
    if (s == BNF_OK && strcmp(name ? name + 1 : bnf_buf_text(&folder), "checkpoints") == 0)
        s = bnf_fs_folder_of(&run, bnf_buf_text(&folder));
    if (s == BNF_OK)
        s = describe(path, bnf_buf_text(run.size > 0 ? &run : &folder));
    bnf_buf_release(&folder);
    bnf_buf_release(&run);
    return s;
}

bnf_status bnf_inspect_filters(const char *path)
{
    char *checkpoint = NULL;
    bnf_buf folder = {0};
    if (!bnf_fs_is_folder(path))
        return of_checkpoint(path);
    bnf_status s = bnf_fs_join(&folder, path, "checkpoints");
    if (s == BNF_OK)
        s = bnf_ckpt_find_newest(bnf_buf_text(&folder), &checkpoint, NULL);
    if (s == BNF_OK && !checkpoint)
        s = bnf_fail(BNF_ERR_IO, "%s holds no checkpoint that verifies", bnf_buf_text(&folder));
    if (s == BNF_OK)
        s = describe(checkpoint, path);
    bnf_free(checkpoint);
    bnf_buf_release(&folder);
    return s;
}
