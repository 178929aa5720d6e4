/* train/overlap.c - applying what was set or found out about the travel of gradients. */
#include "train/overlap.h"

#include "base/log.h"
#include "comm/agree.h"

static const char *const names[] = {"blocking", "poll", "thread"};

static void tuner_of(const bnf_job *job, const bnf_comm *comm, bnf_tuner *tuner)
{
    const bnf_dist_settings *d = &job->dist;
    int progress = d->progress == BNF_DIST_CHOOSE ? BNF_TUNE_AUTO : d->progress;
    bnf_tuner_begin(tuner, progress, (int)d->cuts, bnf_comm_size(comm), bnf_comm_thread_level());
}

int bnf_overlap_first_cuts(const bnf_job *job, const bnf_comm *comm)
{
    bnf_tuner tuner;
    tuner_of(job, comm, &tuner);
    return bnf_tuner_choice(&tuner).cuts;
}

static bnf_status attach(bnf_overlap *o)
{
    const bnf_dist_settings *d = &o->job->dist;
    bnf_choice choice = bnf_tuner_choice(&o->tuner);
    if (choice.cuts != o->planned.cuts) {
        bnf_plan_destroy(o->model->plan);
        o->model->plan = NULL;
        o->model->cuts = choice.cuts;
        BNF_TRY(bnf_comm_agree(o->comm, bnf_model_plan(o->model, o->job, o->comm, o->threads, o->owner)));
    }
    o->planned = choice;
    bnf_dist_config config = {
        .progress = choice.progress, .algorithm = d->algorithm, .bucket = d->bucket, .poll_seconds = d->poll_interval};
    bnf_status s = bnf_updater_attach(o->updater, o->model->plan, &config);
    return s == BNF_ERR_UNSUPPORTED ? bnf_fail(BNF_ERR_CONFIG, "%s", bnf_error_message()) : s;
}

bnf_status bnf_overlap_begin(bnf_overlap *overlap)
{
    tuner_of(overlap->job, overlap->comm, &overlap->tuner);
    overlap->planned = bnf_tuner_choice(&overlap->tuner);
    return attach(overlap);
}

static void tell(const bnf_overlap *o)
{
    const bnf_tuner *t = &o->tuner;
    bnf_choice choice = bnf_tuner_choice(t);
    for (int i = 0; i < t->n; i++)
        bnf_log_info("tried dist.progress: %s, dist.cuts: %d: %.4g s per step", names[t->candidate[i].progress],
                     t->candidate[i].cuts, t->median[i]);
    bnf_log_info("from here on dist.progress: %s, dist.cuts: %d", names[choice.progress], choice.cuts);
}

bnf_status bnf_overlap_step(bnf_overlap *overlap, double seconds)
{
    bool changed;
    if (bnf_tuner_settled(&overlap->tuner))
        return BNF_OK;
    BNF_TRY(bnf_tuner_step(&overlap->tuner, overlap->comm, seconds, &changed));
    if (changed)
        BNF_TRY(attach(overlap));
    if (changed && bnf_tuner_settled(&overlap->tuner))
        tell(overlap);
    return BNF_OK;
}
