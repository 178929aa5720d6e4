/* train/open.c - opening a finished (or running) run for evaluation. */
#include "train/run.h"
#include "train/state.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"

#include <string.h>

/* FOLDER, FOLDER/checkpoints/ckpt-N.h5 -> FOLDER. */
static bnf_status split_path(bnf_run *run, const char *path)
{
    BNF_TRY(bnf_strdup(path, &run->folder));
    size_t n = strlen(run->folder);
    while (n > 1 && run->folder[n - 1] == '/')
        run->folder[--n] = 0;
    if (n < 3 || strcmp(run->folder + n - 3, ".h5") != 0)
        return BNF_OK;
    BNF_TRY(bnf_strdup(path, &run->checkpoint));
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(run->folder, '/');
        if (!slash || slash == run->folder)
            return bnf_fail(BNF_ERR_ARG, "%s is not a checkpoint inside a run folder", path);
        *slash = 0;
    }
    return BNF_OK;
}

static bnf_status open_data(bnf_run *run)
{
    const char *file = run->job->data.file;
    BNF_TRY(bnf_data_open(&run->job->data, BNF_TRAIN, &run->train));
    bool has;
    BNF_TRY(bnf_dataset_has(file, BNF_TEST, &has));
    return has ? bnf_data_open(&run->job->data, BNF_TEST, &run->test) : BNF_OK;
}

static bnf_status fill(bnf_run *run, const bnf_recipe *const *recipes, const char *path, const char *const *overrides,
                       int n_overrides)
{
    bnf_buf name = {0};
    BNF_TRY(split_path(run, path));
    bnf_status s = bnf_fs_join(&name, run->folder, "config.yaml");
    if (s == BNF_OK)
        s = bnf_job_load(run->comm, recipes, bnf_buf_text(&name), overrides, n_overrides, &run->job);
    bnf_buf_clear(&name);
    if (s == BNF_OK)
        s = bnf_fs_join(&name, run->folder, "checkpoints");
    if (s == BNF_OK && !run->checkpoint)
        s = bnf_state_find(run->comm, bnf_buf_text(&name), &run->checkpoint);
    if (s == BNF_OK && !run->checkpoint)
        s = bnf_fail(BNF_ERR_IO, "%s holds no checkpoint that verifies", bnf_buf_text(&name));
    bnf_buf_release(&name);
    BNF_TRY(s);
    bnf_free(run->job->run.folder); /* the run may have been moved since its configuration was written */
    run->job->run.folder = NULL;
    BNF_TRY(bnf_strdup(run->folder, &run->job->run.folder));
    run->threads = bnf_job_threads(run->job, run->comm);
    BNF_TRY(bnf_comm_agree(run->comm, open_data(run)));
    bnf_model model = {0};
    s = bnf_params_create(BNF_F32, &run->params);
    if (s == BNF_OK)
        s = bnf_model_build(run->job, run->params, bnf_dataset_get_info(run->train), run->job->data.batch,
                            run->job->data.leaves, true, &model);
    bnf_model_release(&model); /* it has named the parameters */
    if (s == BNF_OK)
        s = bnf_state_load_params(run->params, run->checkpoint, &run->step);
    BNF_TRY(bnf_comm_agree(run->comm, s));
    bnf_state_hash(run->params, run->weights);
    return BNF_OK;
}

bnf_status bnf_run_open(const bnf_comm *comm, const bnf_recipe *const *recipes, const char *path,
                        const char *const *overrides, int n_overrides, bnf_run **run)
{
    bnf_run *r;
    BNF_TRY(bnf_calloc(1, sizeof *r, "run", &r));
    r->comm = comm;
    bnf_status s = fill(r, recipes, path, overrides, n_overrides);
    if (s != BNF_OK) {
        bnf_run_close(r);
        return s;
    }
    *run = r;
    return BNF_OK;
}

void bnf_run_close(bnf_run *run)
{
    if (!run)
        return;
    bnf_params_destroy(run->params);
    bnf_dataset_close(run->train);
    bnf_dataset_close(run->test);
    bnf_job_destroy(run->job);
    bnf_free(run->folder);
    bnf_free(run->checkpoint);
    bnf_free(run);
}

bnf_status bnf_run_dataset(const bnf_run *run, bnf_split split, bnf_dataset **dataset)
{
    *dataset = split == BNF_TRAIN ? run->train : run->test;
    return *dataset ? BNF_OK
                    : bnf_fail(BNF_ERR_FORMAT, "%s has no %s part", run->job->data.file, bnf_split_name(split));
}
