/* train/train.c - the loop: load, compute, reduce to owners, update, broadcast; metrics, evaluations, checkpoints. */
#include "train/folder.h"
#include "train/saver.h"
#include "train/state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "comm/agree.h"
#include "dist/owners.h"
#include "train/weights.h"
#include "train/limit.h"
#include "train/overlap.h"
#include "train/rule.h"
#include "train/stop.h"
#include "train/watchdog.h"

#include <math.h>
#include <string.h>

/* Sums since the last line of metrics, and since the epoch began. */
typedef struct tally {
    double loss, correct, samples, metrics[BNF_MODEL_MAX_METRICS];
} tally;

typedef struct trainer {
    const bnf_job *job;
    const bnf_comm *comm;
    bool first; /* rank 0 */
    int threads;
    bnf_dataset *train, *test;
    bnf_params *params;
    bnf_model model, eval;
    int *owner;
    bnf_rule rule;
    bnf_updater *updater;
    bnf_overlap overlap;
    bnf_loader *loader, *test_loader;
    bnf_folder folder;
    bnf_progress *progress;
    char *checkpoints; /* folder */
    bnf_fence *fence;  /* of that folder */
    bnf_saver *saver;
    bnf_memory memory;
    int64_t step, total, per_epoch, saved; /* saved: step of the newest checkpoint, under way or complete, -1 */
    int64_t rows;                          /* of the global batch: room for a step's samples */
    struct {
        tally line, epoch;
        double skipped, skipped_row;             /* steps whose update was left out; those since the last good one */
    } sums;                                      /* goes into checkpoints: doubles only */
    double held_before;                          /* by checkpoints, until the last line */
    double line_start, stall_before, seconds[5]; /* since the last line: compute, reduce, update, broadcast, exposed */
    double grad_norm;
    bnf_limit limit; /* of time; rank 0's counts */
    bnf_watchdog *watchdog;
    bnf_profiler *profiler; /* NULL: off */
    bnf_train_result *result;
} trainer;

static bnf_status open_data(trainer *t)
{
    const char *file = t->job->data.file;
    bool has;
    BNF_TRY(bnf_data_open(&t->job->data, BNF_TRAIN, &t->train));
    BNF_TRY(bnf_dataset_has(file, BNF_TEST, &has));
    return has ? bnf_data_open(&t->job->data, BNF_TEST, &t->test) : BNF_OK;
}

static bnf_status build(trainer *t)
{
    const bnf_data_settings *d = &t->job->data;
    const bnf_dataset_info *info = bnf_dataset_get_info(t->train);
    BNF_TRY(bnf_data_rows(d, (uint64_t)t->job->seed, t->train, &t->rows));
    BNF_TRY(bnf_params_create(BNF_F32, &t->params));
    BNF_TRY(bnf_model_build(t->job, t->params, info, t->rows, d->leaves, true, &t->model));
    BNF_TRY(bnf_params_init(t->params, (uint64_t)t->job->seed));
    BNF_TRY(bnf_calloc((size_t)bnf_params_count(t->params) + 1, sizeof *t->owner, "owners", &t->owner));
    BNF_TRY(bnf_owners_assign_shared(t->params, bnf_comm_size(t->comm), t->job->train.shared_above, t->owner));
    t->model.cuts = bnf_overlap_first_cuts(t->job, t->comm);
    BNF_TRY(bnf_profiler_create(t->job, t->comm, t->threads, &t->profiler));
    t->model.spans = bnf_profiler_spans(t->profiler);
    BNF_TRY(bnf_model_plan(&t->model, t->job, t->comm, t->threads, t->owner));
    bnf_memory_count(&t->memory, BNF_MEMORY_TRAINING);
    if (!t->test)
        return BNF_OK;
    BNF_TRY(bnf_model_build(t->job, t->params, bnf_dataset_get_info(t->test), d->batch, d->leaves, false, &t->eval));
    BNF_TRY(bnf_model_plan(&t->eval, t->job, t->comm, t->threads, NULL));
    bnf_memory_count(&t->memory, BNF_MEMORY_EVALUATION);
    return BNF_OK;
}

/* All ranks come here together: they may hold the data between them. */
static bnf_status make_loaders(trainer *t)
{
    const bnf_data_settings *d = &t->job->data;
    bnf_status s = bnf_job_loader(t->job, t->comm, t->train, t->rows, d->leaves, true, &t->loader);
    BNF_TRY(bnf_comm_agree(t->comm, s));
    t->per_epoch = bnf_loader_steps_per_epoch(t->loader);
    t->total = t->per_epoch * t->job->train.epochs;
    if (!t->test)
        return BNF_OK;
    return bnf_comm_agree(t->comm,
                          bnf_job_loader(t->job, t->comm, t->test, d->batch, d->leaves, false, &t->test_loader));
}

static bnf_state state_of(trainer *t)
{
    return (bnf_state){.job = t->job,
                       .comm = t->comm,
                       .params = t->params,
                       .updater = t->updater,
                       .data = bnf_dataset_get_info(t->train),
                       .sums = (double *)&t->sums,
                       .n_sums = (int64_t)(sizeof t->sums / sizeof(double))};
}

static bnf_status resume(trainer *t, const bnf_train_options *options)
{
    char *path = NULL;
    bnf_status s = BNF_OK;
    t->saved = -1;
    if (options->resume == BNF_RESUME_PATH)
        s = bnf_strdup(options->checkpoint, &path);
    else if (options->resume == BNF_RESUME_AUTO)
        s = bnf_state_find(t->comm, t->checkpoints, &path);
    if (s == BNF_OK && path) {
        bnf_state state = state_of(t);
        s = bnf_state_resume(&state, path, &t->step);
        t->saved = t->step;
        if (s == BNF_OK)
            bnf_log_info("resumed %s", path);
    }
    bnf_free(path);
    return s;
}

/* From here on the folder is this job's. */
static bnf_status take_folder(trainer *t, const bnf_train_options *options)
{
    int64_t generation = 0;
    bnf_status s = BNF_OK;
    if (t->first)
        s = bnf_fence_take(t->checkpoints, options->take_over, bnf_comm_size(t->comm), &t->fence);
    BNF_TRY(bnf_comm_agree(t->comm, s));
    if (t->first)
        generation = bnf_fence_generation(t->fence);
    BNF_TRY(bnf_comm_bcast(t->comm, 0, &generation, sizeof generation));
    if (!t->first)
        s = bnf_fence_join(t->checkpoints, generation, &t->fence);
    return bnf_comm_agree(t->comm, s);
}

/* Rank 0 looks at the folder before anything is computed. */
static bnf_status check_folder(const trainer *t, const bnf_train_options *options)
{
    if (!t->first || options->resume != BNF_RESUME_NONE || options->overwrite || !bnf_folder_used(t->job))
        return BNF_OK;
    return bnf_fail(
        BNF_ERR_CONFIG,
        "%s holds a run: continue it with --resume auto, replace it with --overwrite, or choose another run.folder",
        t->job->run.folder);
}

static bnf_status open_outputs(trainer *t, const bnf_train_options *options)
{
    if (!t->first)
        return BNF_OK;
    t->folder.fence = t->fence;
    BNF_TRY(bnf_fence_begin(t->fence, t->saved));
    if (options->resume == BNF_RESUME_NONE && bnf_folder_used(t->job)) { /* asked for; everything else has worked */
        BNF_TRY(bnf_ckpt_clear(t->checkpoints, t->fence));
        BNF_TRY(bnf_folder_clear(t->job));
    }
    BNF_TRY(bnf_folder_open(t->job, t->saved, &t->folder));
    bnf_progress_options p = {.out = options->out,
                              .mode = options->out ? (bnf_progress_mode)t->job->run.progress : BNF_PROGRESS_OFF,
                              .epochs = t->job->train.epochs,
                              .steps_per_epoch = t->per_epoch,
                              .first_step = t->step,
                              .samples_per_step = t->job->data.batch,
                              .plain_seconds = 30};
    return bnf_progress_create(&p, bnf_clock_seconds(), &t->progress);
}

/* Everything that a step needs. */
static bnf_status set_up(trainer *t)
{
    bnf_memory_begin(&t->memory);
    BNF_TRY(bnf_comm_agree(t->comm, open_data(t)));
    bnf_memory_count(&t->memory, BNF_MEMORY_DATA);
    BNF_TRY(bnf_comm_agree(t->comm, build(t)));
    BNF_TRY(bnf_job_start_weights(t->job, t->comm, t->params));
    BNF_TRY(make_loaders(t));
    bnf_memory_count(&t->memory, BNF_MEMORY_LOADERS);
    BNF_TRY(bnf_comm_agree(t->comm, bnf_rule_create(&t->job->optim, t->params, t->per_epoch, t->total, &t->rule)));
    BNF_TRY(bnf_updater_create(t->comm, t->params, t->owner, &t->rule.rule, t->threads, &t->updater));
    t->overlap = (bnf_overlap){t->job, t->comm, t->threads, t->owner, &t->model, t->updater};
    BNF_TRY(bnf_overlap_begin(&t->overlap));
    bnf_memory_count(&t->memory, BNF_MEMORY_UPDATER);
    return BNF_OK;
}

static bnf_status prepare(trainer *t, const bnf_train_options *options)
{
    BNF_TRY(bnf_comm_agree(t->comm, check_folder(t, options)));
    BNF_TRY(set_up(t));
    BNF_TRY(bnf_comm_agree(t->comm, bnf_folder_path(t->job, "checkpoints", &t->checkpoints)));
    BNF_TRY(take_folder(t, options));
    if (options->resume != BNF_RESUME_NONE) /* the log shall tell what was refused and taken */
        BNF_TRY(bnf_comm_agree(t->comm, t->first ? bnf_folder_open_log(t->job, &t->folder) : BNF_OK));
    if (t->first && bnf_fence_predecessor(t->fence)[0])
        bnf_log_info("follows a job that did not end by itself: %s", bnf_fence_predecessor(t->fence));
    BNF_TRY(resume(t, options));
    if (t->job->train.steps > 0 && t->job->train.steps < t->total)
        t->total = t->job->train.steps;
    BNF_TRY(bnf_comm_agree(t->comm, open_outputs(t, options)));
    bnf_state state = state_of(t);
    BNF_TRY(bnf_saver_create(&state, t->checkpoints, t->fence, &t->saver));
    bnf_memory_count(&t->memory, BNF_MEMORY_CHECKPOINTS);
    t->result->planned_bytes = bnf_memory_planned(&t->memory);
    char sparse[128];
    if (bnf_model_sparse_text(&t->model, sparse, sizeof sparse)[0])
        bnf_log_info("%s", sparse);
    bnf_log_info("memory of this rank: %.0f MiB planned", (double)t->result->planned_bytes / 1048576);
    BNF_TRY(bnf_comm_agree(t->comm, bnf_profiler_begin(t->profiler, t->model.plan, t->loader, t->saver)));
    return t->watchdog ? bnf_watchdog_share(t->watchdog, t->job->run.folder) : BNF_OK;
}

static void add(tally *to, const tally *from)
{
    to->loss += from->loss;
    to->correct += from->correct;
    to->samples += from->samples;
    for (int i = 0; i < BNF_MODEL_MAX_METRICS; i++)
        to->metrics[i] += from->metrics[i];
}

static void count_step(trainer *t, const bnf_batch *batch)
{
    double n = (double)batch->valid;
    bool classifies = bnf_val_ok(t->model.accuracy);
    tally one = {.loss = n * bnf_model_scalar(&t->model, t->model.values.loss),
                 .correct = classifies ? n * bnf_model_scalar(&t->model, t->model.accuracy) : 0,
                 .samples = n};
    for (int i = 0; i < t->model.values.n_metrics; i++)
        one.metrics[i] = n * bnf_model_scalar(&t->model, t->model.values.metrics[i].value);
    add(&t->sums.line, &one);
    add(&t->sums.epoch, &one);
}

static bnf_status not_finite(trainer *t, const char *what)
{
    int64_t most = t->job->train.nonfinite_limit;
    t->sums.skipped++;
    t->sums.skipped_row++;
    if (t->job->train.nonfinite == BNF_NONFINITE_SKIP && (most == 0 || t->sums.skipped_row <= (double)most)) {
        bnf_log_warning("step %lld: %s is not finite; the update is left out", (long long)t->step, what);
        return BNF_OK;
    }
    if (t->job->train.nonfinite == BNF_NONFINITE_SKIP)
        return bnf_fail(BNF_ERR_NUMERIC,
                        "step %lld: %s is not finite, as in the %lld steps before it (train.nonfinite_limit); the last "
                        "checkpoint is of step %lld",
                        (long long)t->step, what, (long long)most, (long long)t->saved);
    return bnf_fail(
        BNF_ERR_NUMERIC,
        "step %lld: %s is not finite (train.nonfinite: skip would go on); the last checkpoint is of step %lld",
        (long long)t->step, what, (long long)t->saved);
}

static bnf_status one_step(trainer *t)
{
    const bnf_batch *batch = NULL;
    bnf_update_stats stats;
    bnf_pulse(BNF_PHASE_LOAD, t->step);
    BNF_TRY(bnf_comm_agree(t->comm, bnf_loader_next(t->loader, &batch)));
    double start = bnf_clock_seconds();
    bnf_pulse_phase(BNF_PHASE_COMPUTE);
    bnf_status s = bnf_comm_agree(t->comm, bnf_model_run(&t->model, batch, t->step));
    t->seconds[0] += bnf_clock_seconds() - start;
    bool finite = s == BNF_OK && isfinite(bnf_model_scalar(&t->model, t->model.values.loss));
    if (!finite) { /* gradients may be on their way */
        bnf_status dropped = bnf_updater_drop(t->updater);
        BNF_TRY(s != BNF_OK ? s : dropped);
        return not_finite(t, "the loss");
    }
    BNF_TRY(bnf_updater_step(t->updater, t->model.plan, t->step, &stats));
    t->seconds[1] += stats.reduce_seconds;
    t->seconds[2] += stats.update_seconds;
    t->seconds[3] += stats.broadcast_seconds;
    t->seconds[4] += stats.exposed_seconds;
    t->grad_norm = stats.grad_norm;
    if (!stats.finite)
        return not_finite(t, "a gradient");
    t->sums.skipped_row = 0;
    bnf_plan_commit(t->model.plan);
    count_step(t, batch);
    return bnf_overlap_step(&t->overlap, bnf_clock_seconds() - start);
}

/* NaN if the network does not classify. */
static double accuracy_of(const trainer *t, const tally *sum)
{
    return bnf_val_ok(t->model.accuracy) ? sum->correct / sum->samples : NAN;
}

/* One line of metrics from a tally. */
static bnf_status write_scalars(trainer *t, const char *kind, const bnf_model *model, const tally *sum)
{
    BNF_TRY(bnf_folder_scalar(&t->folder, kind, "loss", t->step, sum->loss / sum->samples));
    if (bnf_val_ok(model->accuracy))
        BNF_TRY(bnf_folder_scalar(&t->folder, kind, "accuracy", t->step, sum->correct / sum->samples));
    for (int i = 0; i < model->values.n_metrics; i++)
        BNF_TRY(bnf_folder_scalar(&t->folder, kind, model->values.metrics[i].name, t->step,
                                  sum->metrics[i] / sum->samples));
    return BNF_OK;
}

static bnf_status write_line(trainer *t)
{
    static const char *const parts[] = {"compute_seconds", "reduce_seconds", "update_seconds", "broadcast_seconds",
                                        "exposed_seconds"};
    double now = bnf_clock_seconds(), passed = now - t->line_start;
    bnf_loader_stats loader;
    bnf_loader_get_stats(t->loader, &loader);
    double held = bnf_saver_get_stats(t->saver).held;
    BNF_TRY(bnf_folder_begin(&t->folder, "train", t->step));
    BNF_TRY(bnf_folder_scalar(&t->folder, "train", "epoch", t->step, (double)t->step / (double)t->per_epoch));
    BNF_TRY(write_scalars(t, "train", &t->model, &t->sums.line));
    BNF_TRY(bnf_folder_scalar(&t->folder, "train", "lr", t->step, bnf_rule_lr(&t->rule, t->step - 1)));
    BNF_TRY(bnf_folder_scalar(&t->folder, "train", "grad_norm", t->step, t->grad_norm));
    BNF_TRY(bnf_folder_scalar(&t->folder, "train", "samples_per_second", t->step, t->sums.line.samples / passed));
    for (int i = 0; i < 5; i++)
        BNF_TRY(bnf_folder_scalar(&t->folder, "train", parts[i], t->step, t->seconds[i]));
    BNF_TRY(bnf_folder_scalar(&t->folder, "train", "stall_seconds", t->step, loader.stall_seconds - t->stall_before));
    t->stall_before = loader.stall_seconds;
    BNF_TRY(bnf_folder_scalar(&t->folder, "train", "checkpoint_seconds", t->step, held - t->held_before));
    t->held_before = held;
    return bnf_metrics_end(t->folder.metrics);
}

static bnf_status log_line(trainer *t)
{
    bnf_status s = BNF_OK;
    if (t->sums.line.samples > 0 && t->first)
        s = write_line(t);
    t->sums.line = (tally){0};
    memset(t->seconds, 0, sizeof t->seconds);
    t->line_start = bnf_clock_seconds();
    return bnf_comm_agree(t->comm, s);
}

static bnf_status write_eval(trainer *t, const bnf_eval_result *r)
{
    tally sum = {.loss = r->loss, .correct = r->accuracy, .samples = 1};
    memcpy(sum.metrics, r->metrics, sizeof sum.metrics);
    BNF_TRY(bnf_folder_begin(&t->folder, "test", t->step));
    BNF_TRY(bnf_folder_scalar(&t->folder, "test", "epoch", t->step, (double)t->step / (double)t->per_epoch));
    BNF_TRY(write_scalars(t, "test", &t->eval, &sum));
    BNF_TRY(bnf_metrics_end(t->folder.metrics));
    return bnf_events_flush(t->folder.events);
}

/* write: as a line of metrics, too. */
static bnf_status evaluate(trainer *t, bool write)
{
    if (!t->test)
        return BNF_OK;
    bnf_eval_result r;
    BNF_TRY(bnf_updater_settle(t->updater));
    BNF_TRY(bnf_evaluate(&t->eval, t->comm, t->test_loader, 0, NULL, NULL, &r));
    t->result->test_loss = r.loss;
    t->result->test_accuracy = r.accuracy;
    if (isnan(r.accuracy))
        bnf_log_info("step %lld: test loss %.4f", (long long)t->step, r.loss);
    else
        bnf_log_info("step %lld: test loss %.4f, accuracy %.4f", (long long)t->step, r.loss, r.accuracy);
    return bnf_comm_agree(t->comm, t->first && write ? write_eval(t, &r) : BNF_OK);
}

static bnf_status save(trainer *t)
{
    if (t->saved == t->step)
        return BNF_OK;
    BNF_TRY(bnf_updater_settle(t->updater));
    const char *broken = bnf_weights_not_finite(t->params);
    if (broken)
        return bnf_fail(BNF_ERR_NUMERIC,
                        "step %lld: weights of '%s' are not finite, and no checkpoint was written; the last one is of "
                        "step %lld",
                        (long long)t->step, broken, (long long)t->saved);
    bnf_pulse(BNF_PHASE_CHECKPOINT, t->step);
    BNF_TRY(bnf_saver_save(t->saver, t->step));
    t->saved = t->step;
    return BNF_OK;
}

/* Finishes what is under way (`wait`), or what can be finished without waiting. */
static bnf_status saving(trainer *t, bool wait)
{
    int64_t before = bnf_saver_get_stats(t->saver).count;
    if (wait)
        bnf_pulse(BNF_PHASE_CHECKPOINT, t->step);
    BNF_TRY(wait ? bnf_saver_finish(t->saver) : bnf_saver_poll(t->saver));
    bnf_saver_stats stats = bnf_saver_get_stats(t->saver);
    if (stats.count > before)
        bnf_limit_saved(&t->limit, stats.seconds);
    return BNF_OK;
}

static void show_progress(trainer *t)
{
    if (!t->progress)
        return;
    bnf_progress_state p = {.step = t->step,
                            .loss = t->sums.epoch.loss / t->sums.epoch.samples,
                            .accuracy = accuracy_of(t, &t->sums.epoch),
                            .lr = bnf_rule_lr(&t->rule, t->step - 1),
                            .seconds = bnf_clock_seconds()};
    bnf_progress_update(t->progress, &p);
}

static bnf_status after_step(trainer *t)
{
    bool epoch_end = t->step % t->per_epoch == 0, last = t->step == t->total;
    int64_t every = t->job->run.checkpoint_every, epoch = t->step / t->per_epoch;
    show_progress(t);
    if (t->step % t->job->run.log_every == 0 || last)
        BNF_TRY(log_line(t));
    if (last || (epoch_end && t->job->run.eval_every > 0 && epoch % t->job->run.eval_every == 0)) {
        double start = bnf_clock_seconds();
        BNF_TRY(evaluate(t, true));
        t->line_start += bnf_clock_seconds() - start; /* the line under way counts time of training alone */
    }
    if (epoch_end || last) {
        t->result->loss = t->sums.epoch.loss / t->sums.epoch.samples;
        t->result->accuracy = accuracy_of(t, &t->sums.epoch);
        t->sums.epoch = (tally){0};
    }
    if (last || (every > 0 ? t->step % every == 0 : epoch_end))
        BNF_TRY(save(t));
    return BNF_OK;
}

static bnf_status loop(trainer *t)
{
    double start = bnf_clock_seconds();
    int64_t from = t->step;
    bnf_loader_stats stats;
    bnf_loader_seek(t->loader, t->step);
    bnf_limit_loop(&t->limit, start, 4 * bnf_weights_bytes(t->params));
    t->line_start = start;
    while (t->step < t->total) {
        bnf_stop stop;
        BNF_TRY(
            bnf_profiler_step(t->profiler, t->model.plan, bnf_tuner_settled(&t->overlap.tuner), &t->result->profile));
        BNF_TRY(one_step(t));
        bnf_pulse(BNF_PHASE_END, ++t->step);
        BNF_TRY(after_step(t));
        BNF_TRY(saving(t, false));
        bnf_pulse(BNF_PHASE_END, t->step);
        BNF_TRY(bnf_stop_agreed(t->comm, t->first && bnf_limit_due(&t->limit, bnf_clock_seconds()), &stop));
        if (stop != BNF_STOP_NO && t->step < t->total) {
            BNF_TRY(save(t));
            BNF_TRY(saving(t, true));
            t->result->interrupted = bnf_stop_text(stop);
            bnf_log_warning("stopped %s after step %lld; checkpoint written", t->result->interrupted,
                            (long long)t->step);
            break;
        }
    }
    BNF_TRY(saving(t, true));
    BNF_TRY(bnf_profiler_finish(t->profiler, t->model.plan, &t->result->profile));
    BNF_TRY(bnf_comm_agree(t->comm, t->first ? bnf_fence_check(t->fence) : BNF_OK));
    t->result->checkpoint_seconds = bnf_saver_get_stats(t->saver).held;
    BNF_TRY(bnf_updater_settle(t->updater));
    t->result->seconds = bnf_clock_seconds() - start;
    t->result->samples_per_second = (double)(t->step - from) * (double)t->job->data.batch / t->result->seconds;
    bnf_loader_get_stats(t->loader, &stats);
    t->result->stall_seconds = stats.stall_seconds;
    BNF_TRY(bnf_comm_allreduce_f64(t->comm, BNF_COMM_MAX, &t->result->stall_seconds, 1));
    t->result->peak_bytes = bnf_memory_resident_peak();
    t->result->step = t->step;
    t->result->skipped = (int64_t)t->sums.skipped;
    bnf_state_hash(t->params, t->result->weights);
    return BNF_OK;
}

static void release(trainer *t)
{
    bnf_saver_destroy(t->saver); /* its thread may still be at work on what follows */
    bnf_progress_destroy(t->progress);
    bnf_loader_destroy(t->loader);
    bnf_loader_destroy(t->test_loader);
    bnf_updater_destroy(t->updater);
    bnf_rule_release(&t->rule);
    bnf_model_release(&t->model);
    bnf_model_release(&t->eval);
    bnf_profiler_destroy(t->profiler);
    bnf_params_destroy(t->params);
    bnf_dataset_close(t->train);
    bnf_dataset_close(t->test);
    bnf_free(t->owner);
    bnf_free(t->checkpoints);
}

bnf_status bnf_run_memory(const bnf_job *job, const bnf_comm *comm, bnf_memory *memory)
{
    bnf_train_result unused;
    trainer t = {.job = job, .comm = comm, .first = bnf_comm_rank(comm) == 0, .result = &unused};
    t.threads = bnf_job_threads(job, comm);
    bnf_status s = set_up(&t);
    if (s == BNF_OK) {
        bnf_state state = state_of(&t);
        s = bnf_saver_create(&state, "", NULL, &t.saver);
        bnf_memory_count(&t.memory, BNF_MEMORY_CHECKPOINTS);
    }
    *memory = t.memory;
    release(&t);
    return s;
}

bnf_status bnf_run_train(const bnf_job *job, const bnf_comm *comm, const bnf_train_options *options,
                         bnf_train_result *result)
{
    trainer t = {.job = job, .comm = comm, .first = bnf_comm_rank(comm) == 0, .result = result};
    *result = (bnf_train_result){.loss = NAN, .accuracy = NAN, .test_loss = NAN, .test_accuracy = NAN};
    t.threads = bnf_job_threads(job, comm);
    bnf_stop_install();
    bnf_status s = BNF_OK;
    if (t.first)
        s = bnf_limit_start(&t.limit, job->run.time_limit);
    s = bnf_comm_agree(comm, s);
    if (s == BNF_OK && job->run.watchdog > 0 && options->late)
        s = bnf_watchdog_start(comm, (double)job->run.watchdog, options->late, &t.watchdog);
    if (s == BNF_OK)
        s = prepare(&t, options);
    if (s == BNF_OK && t.step >= t.total)
        s = evaluate(&t, false); /* resumed at the end: the line is there already */
    if (s == BNF_OK)
        s = loop(&t);
    if (s == BNF_ERR_NUMERIC && t.saver) /* known to all ranks; the message promises the last checkpoint */
        (void)bnf_saver_finish(t.saver);
    bnf_stop_restore();
    if (s != BNF_OK && s != BNF_ERR_COMM && t.updater)
        bnf_updater_drop(t.updater); /* new values may still travel; the first error counts */
    if (s != BNF_OK)
        bnf_log_info("stopped: %s", bnf_error_message()); /* into log.txt; the caller tells the user */
    if (t.progress)
        bnf_progress_finish(t.progress);
    bnf_status closed = bnf_folder_close(&t.folder);
    bnf_watchdog_stop(t.watchdog);
    release(&t);
    bnf_fence_release(t.fence, s != BNF_ERR_FENCED);
    return s != BNF_OK ? s : bnf_comm_agree(comm, closed);
}
