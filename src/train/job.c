/* train/job.c - the tables of the common settings, and loading. */
#include "train/job.h"

#include "base/fs.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "report/progress.h"
#include "train/limit.h"

#include <stdio.h>
#include <string.h>

static const char *const progress_names[] = {"auto", "bar", "plain", "off", NULL};
static const char *const nonfinite_names[] = {"stop", "skip", NULL};

static const char *const wire_names[] = {"f32", "bf16", NULL};         /* bnf_gradient_wire, bnf_precision */
static const char *const sparse_names[] = {"auto", "on", "off", NULL}; /* bnf_sparse_input */
static const char *const policy_names[] = {"blocking", "poll", "thread", "auto", NULL};
static const char *const algorithm_names[] = {"auto", "direct", "halving", NULL};

static const bnf_cfg_key top_keys[] = {
    {"recipe", BNF_CFG_STRING, offsetof(bnf_job, recipe_name), NULL, "which recipe's model and loss to train"},
    {"seed", BNF_CFG_INT, offsetof(bnf_job, seed), "1", "of everything random: start, order, augmentation, dropout",
     .min = 0, .max = 9e15},
};

static const char *const recompute_names[] = {"never", "elementwise", "blocks", NULL}; /* bnf_recompute */
static const bnf_cfg_key run_keys[] = {
    {"folder", BNF_CFG_STRING, offsetof(bnf_run_settings, folder), "runs/run",
     "where configuration, metrics, checkpoints and report go"},
    {"threads", BNF_CFG_INT, offsetof(bnf_run_settings, threads), "0",
     "OpenMP threads of a rank; 0: OMP_NUM_THREADS or the processors it may use", .min = 0, .max = 4096},
    {"log_every", BNF_CFG_INT, offsetof(bnf_run_settings, log_every), "20", "steps between lines of metrics", .min = 1,
     .max = 1e9},
    {"eval_every", BNF_CFG_INT, offsetof(bnf_run_settings, eval_every), "1",
     "epochs between evaluations on the test part; 0: only at the end", .min = 0, .max = 1e9},
    {"checkpoint_every", BNF_CFG_INT, offsetof(bnf_run_settings, checkpoint_every), "0",
     "steps between checkpoints; 0: at the end of every epoch", .min = 0, .max = 1e12},
    {"keep", BNF_CFG_INT, offsetof(bnf_run_settings, keep), "3", "checkpoints to keep", .min = 1, .max = 1e6},
    {"checkpoint_background", BNF_CFG_BOOL, offsetof(bnf_run_settings, checkpoint_background), "true",
     "write checkpoints from a copy while training goes on; false: training waits"},
    {"progress", BNF_CFG_ENUM, offsetof(bnf_run_settings, progress), "auto",
     "progress line: auto is a bar on a terminal, plain lines elsewhere", .choices = progress_names},
    {"time_limit", BNF_CFG_STRING, offsetof(bnf_run_settings, time_limit), "auto",
     "stop with a checkpoint before it is over (90, 15m, 2h, 1-02:00:00); auto: SLURM's, if any; none"},
    {"watchdog", BNF_CFG_INT, offsetof(bnf_run_settings, watchdog), "600",
     "seconds in which a rank does not get on until the job ends (exit code 76) and names who is late; 0: off",
     .min = 0, .max = 1e7},
    {"eager", BNF_CFG_BOOL, offsetof(bnf_run_settings, eager), "false",
     "one operation at a time, each result checked for NaN (BNF_EAGER=1 does the same); slow"},
    {"reference", BNF_CFG_BOOL, offsetof(bnf_run_settings, reference), "false",
     "plain C reference kernels only; very slow"},
    {"recompute", BNF_CFG_ENUM, offsetof(bnf_run_settings, recompute), "elementwise",
     "activations computed again in the backward pass to save memory: never, elementwise (where it is nearly free), "
     "blocks (everything inside residual blocks: about one more forward pass)",
     .choices = recompute_names},
    {"recompute_blocks", BNF_CFG_INT, offsetof(bnf_run_settings, recompute_blocks), "0",
     "for recompute: blocks, only so many residual blocks, from the input; the first save most; 0: all", .min = 0,
     .max = 1e6},
    {"profile", BNF_CFG_INT, offsetof(bnf_run_settings, profile), "0",
     "record so many steps after the first ones, for trace/rank-*.json and profile.json; 0: none", .min = 0,
     .max = 10000},
    {"profile_spans", BNF_CFG_INT, offsetof(bnf_run_settings, profile_spans), "0",
     "operations and additions recorded per thread at most (32 bytes each); 0: as many as the steps have, in 128 MiB "
     "per "
     "rank at most",
     .min = 0, .max = 1e9},
};

static const bnf_cfg_key train_keys[] = {
    {"epochs", BNF_CFG_INT, offsetof(bnf_train_settings, epochs), "10", "passes over the training part", .min = 1,
     .max = 1e9},
    {"steps", BNF_CFG_INT, offsetof(bnf_train_settings, steps), "0", "stop after so many steps; 0: after all epochs",
     .min = 0, .max = 1e12},
    {"nonfinite", BNF_CFG_ENUM, offsetof(bnf_train_settings, nonfinite), "stop",
     "a loss or gradient that is not finite: stop with an error, or skip the update and count it",
     .choices = nonfinite_names},
    {"nonfinite_limit", BNF_CFG_INT, offsetof(bnf_train_settings, nonfinite_limit), "100",
     "for nonfinite: skip, updates left out in a row before the run stops after all; 0: any number", .min = 0,
     .max = 1e9},
    {"precision", BNF_CFG_ENUM, offsetof(bnf_train_settings, precision), "f32",
     "bf16: activations, their gradients and the weights that meet them are bfloat16 in training, sums f32; weights, "
     "optimiser, statistics, losses and evaluation stay f32; needs a CPU with AVX512_BF16; changes results, the same "
     "for any number of ranks",
     .choices = wire_names},
    {"gradient_wire", BNF_CFG_ENUM, offsetof(bnf_train_settings, gradient_wire), "f32",
     "bf16: gradients are rounded to bfloat16 before every addition over leaves and travel in half the bytes; changes "
     "results, the same for any number of ranks",
     .choices = wire_names},
    {"sparse_input", BNF_CFG_ENUM, offsetof(bnf_train_settings, sparse_input), "auto",
     "convolutions that read the images of a sparse set compute their active cells alone: auto (where few of the set's "
     "cells are active), on (whatever the set) or off; changes results by rounding, the same for any number of ranks",
     .choices = sparse_names},
    {"weights", BNF_CFG_STRING, offsetof(bnf_train_settings, weights), "",
     "start from the raw weights of this .npz or safetensors file (docs/weights.md); empty: drawn from the seed"},
    {"shared_above", BNF_CFG_INT, offsetof(bnf_train_settings, shared_above), "67108864",
     "elements above which a weight belongs to all ranks together, by slices, instead of one owner; changes results by "
     "rounding, the same for any number of ranks; 0: never",
     .min = 0, .max = 9e15},
};

static const bnf_cfg_key dist_keys[] = {
    {"progress", BNF_CFG_ENUM, offsetof(bnf_dist_settings, progress), "auto",
     "who moves gradients on while others are computed: blocking (nobody: sent afterwards), poll (the main thread "
     "between operations), thread (one of its own), auto (each is timed in the first steps)",
     .choices = policy_names},
    {"cuts", BNF_CFG_INT, offsetof(bnf_dist_settings, cuts), "-1",
     "cut the backward pass so often, so that gradients of upper layers travel while those of lower ones are computed; "
     "keeps activations of all leaves of a rank; -1: chosen with progress, none for one rank",
     .min = -1, .max = 64},
    {"bucket", BNF_CFG_INT, offsetof(bnf_dist_settings, bucket), "0",
     "bytes that travel as one; 0: by algorithm and ranks", .min = 0, .max = 1e12},
    {"algorithm", BNF_CFG_ENUM, offsetof(bnf_dist_settings, algorithm), "auto",
     "direct: every rank sends to every owner; halving: along the tree, with fewer and larger messages",
     .choices = algorithm_names},
    {"poll_interval", BNF_CFG_REAL, offsetof(bnf_dist_settings, poll_interval), "0.0001",
     "seconds between two looks at messages at least, for poll and thread", .min = 0, .max = 1},
};

static void fill_sections(bnf_job *job)
{
    bnf_cfg_section *s = job->sections;
    int n = 0;
    s[n++] = (bnf_cfg_section){"", NULL, BNF_CFG_KEYS(top_keys), job};
    s[n++] =
        (bnf_cfg_section){"run", "how the run is carried out; changes no result", BNF_CFG_KEYS(run_keys), &job->run};
    s[n++] = bnf_data_section(&job->data);
    s[n++] = (bnf_cfg_section){"train", "how long", BNF_CFG_KEYS(train_keys), &job->train};
    s[n++] = (bnf_cfg_section){"dist", "how gradients and weights travel between ranks; changes no result",
                               BNF_CFG_KEYS(dist_keys), &job->dist};
    s[n++] = bnf_optim_config_section(&job->optim);
    n += job->recipe->sections(job->settings, s + n);
    job->n_sections = n;
}

/* The recipe must be known before the file can be read: its name by a look at the lines and overrides. */
static bnf_status find_recipe(const bnf_recipe *const *recipes, const char *text, const char *path,
                              const char *const *overrides, int n_overrides, const bnf_recipe **recipe)
{
    static const char word[] = "recipe";
    char name[64] = "";
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, word, sizeof word - 1) == 0 && line[sizeof word - 1] == ':')
            sscanf(line + sizeof word, "%*[ \t\"']%63[A-Za-z0-9_-]", name);
    for (int i = 0; i < n_overrides; i++)
        if (strncmp(overrides[i], word, sizeof word - 1) == 0 && overrides[i][sizeof word - 1] == '=')
            sscanf(overrides[i] + sizeof word, "%63[A-Za-z0-9_-]", name);
    bnf_buf names = {0};
    for (int i = 0; recipes[i]; i++) {
        if (strcmp(recipes[i]->name, name) == 0) {
            *recipe = recipes[i];
            bnf_buf_release(&names);
            return BNF_OK;
        }
        bnf_buf_printf(&names, "%s%s", i ? ", " : "", recipes[i]->name);
    }
    bnf_status s = bnf_fail(
        BNF_ERR_CONFIG, name[0] ? "%s: recipe '%s' is unknown; valid: %s" : "%s: key 'recipe' is missing%s; valid: %s",
        path, name, bnf_buf_text(&names));
    bnf_buf_release(&names);
    return s;
}

static bnf_status check(const bnf_job *job)
{
    BNF_TRY(bnf_data_check(&job->data));
    BNF_TRY(bnf_limit_check(job->run.time_limit));
    bnf_optim_settings optim;
    BNF_TRY(bnf_optim_config_settings(&job->optim, &optim));
    if (job->train.sparse_input == BNF_SPARSE_ON && job->train.precision == BNF_PRECISION_BF16)
        return bnf_fail(BNF_ERR_CONFIG, "train.sparse_input: on computes in f32: it does not go with train.precision: "
                                        "bf16");
    return job->recipe->check ? job->recipe->check(job->settings) : BNF_OK;
}

static bnf_status load_text(bnf_job *job, const bnf_recipe *const *recipes, const char *text, const char *path,
                            const char *const *overrides, int n_overrides)
{
    BNF_TRY(find_recipe(recipes, text, path, overrides, n_overrides, &job->recipe));
    BNF_TRY(bnf_calloc(1, job->recipe->settings_size, "recipe settings", &job->settings));
    fill_sections(job);
    bnf_status s =
        bnf_config_load_text(text, strlen(text), path, job->sections, job->n_sections, overrides, n_overrides);
    if (s != BNF_OK) {
        job->n_sections = 0; /* the targets hold nothing */
        return s;
    }
    return check(job);
}

/* Rank 0's file on every rank. [out] text owned. */
static bnf_status read_shared(const bnf_comm *comm, const char *path, char **text)
{
    bnf_buf content = {0};
    int64_t size = 0;
    bnf_status s = BNF_OK;
    if (bnf_comm_rank(comm) == 0) {
        s = bnf_fs_read(path, &content);
        size = (int64_t)content.size;
    }
    s = bnf_comm_agree(comm, s);
    if (s == BNF_OK)
        s = bnf_comm_bcast(comm, 0, &size, sizeof size);
    if (s == BNF_OK)
        s = bnf_comm_agree(comm, bnf_calloc((size_t)size + 1, 1, "configuration", text));
    if (s == BNF_OK) {
        if (bnf_comm_rank(comm) == 0)
            memcpy(*text, bnf_buf_text(&content), (size_t)size);
        s = bnf_comm_bcast(comm, 0, *text, size);
    }
    bnf_buf_release(&content);
    return s;
}

bnf_status bnf_job_load(const bnf_comm *comm, const bnf_recipe *const *recipes, const char *path,
                        const char *const *overrides, int n_overrides, bnf_job **job)
{
    char *text = NULL;
    bnf_job *j = NULL;
    bnf_status s;
    BNF_TRY(read_shared(comm, path, &text));
    s = bnf_calloc(1, sizeof *j, "job", &j);
    if (s == BNF_OK)
        s = load_text(j, recipes, text, path, overrides, n_overrides);
    s = bnf_comm_agree(comm, s);
    bnf_free(text);
    if (s != BNF_OK) {
        bnf_job_destroy(j);
        return s;
    }
    *job = j;
    return BNF_OK;
}

void bnf_job_destroy(bnf_job *job)
{
    if (!job)
        return;
    bnf_config_free(job->sections, job->n_sections);
    bnf_free(job->settings);
    bnf_free(job);
}

bnf_status bnf_job_help(const bnf_recipe *const *recipes, bnf_buf *text)
{
    for (int i = 0; recipes[i]; i++) {
        bnf_job job = {.recipe = recipes[i]};
        BNF_TRY(bnf_calloc(1, recipes[i]->settings_size, "recipe settings", &job.settings));
        fill_sections(&job);
        bnf_buf_printf(text, "# recipe: %s - %s\n\n", recipes[i]->name, recipes[i]->summary);
        bnf_status s = bnf_config_help(text, job.sections, job.n_sections);
        bnf_free(job.settings);
        BNF_TRY(s);
    }
    return text->status;
}

bnf_status bnf_job_dump(const bnf_job *job, bool results_only, bnf_buf *text)
{
    bnf_cfg_section kept[9 + BNF_RECIPE_MAX_SECTIONS];
    int n = 0;
    for (int i = 0; i < job->n_sections; i++)
        if (!results_only || (strcmp(job->sections[i].name, "run") != 0 && strcmp(job->sections[i].name, "dist") != 0))
            kept[n++] = job->sections[i];
    return results_only ? bnf_config_dump_results(text, kept, n) : bnf_config_dump(text, kept, n);
}
