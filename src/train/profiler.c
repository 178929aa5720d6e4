/* train/profiler.c - recording some steps of a run. */
#include "train/profile.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "base/spans.h"
#include "comm/agree.h"
#include "train/folder.h"

#include <stdio.h>

#define MAX_BYTES \
    (INT64_C(256) << 20) /* of all lanes of a rank: half for operations and additions, half for the rest */
enum { REST_PER_STEP = 64, REST_PER_SEGMENT = 16 }; /* phases and waits */

typedef enum stage { WARMING = 0, RECORDING, DONE } stage;

struct bnf_profiler {
    const bnf_job *job;
    const bnf_comm *comm;
    int threads; /* lanes: threads, the loader's, the saver's */
    stage stage;
    int64_t seen; /* steps of this stage */
    bnf_spans *spans;
};

bnf_status bnf_profiler_create(const bnf_job *job, const bnf_comm *comm, int threads, bnf_profiler **profiler)
{
    bnf_profiler *p;
    *profiler = NULL;
    if (job->run.profile == 0)
        return BNF_OK;
    BNF_TRY(bnf_calloc(1, sizeof *p, "profile", &p));
    *p = (bnf_profiler){.job = job, .comm = comm, .threads = threads};
    bnf_status s = bnf_spans_create(threads + 2, &p->spans);
    if (s != BNF_OK) {
        bnf_free(p);
        return s;
    }
    *profiler = p;
    return BNF_OK;
}

void bnf_profiler_destroy(bnf_profiler *profiler)
{
    if (!profiler)
        return;
    if (profiler->stage == RECORDING) /* the run has failed: nobody may record from here on */
        bnf_pulse_spans(NULL, 0);
    bnf_spans_destroy(profiler->spans);
    bnf_free(profiler);
}

struct bnf_spans *bnf_profiler_spans(bnf_profiler *profiler)
{
    return profiler ? profiler->spans : NULL;
}

/* Half of what a lane may take at most. */
static int64_t cap(const bnf_profiler *p, int64_t want)
{
    int64_t most = MAX_BYTES / 2 / (int64_t)sizeof(bnf_span) / p->spans->lanes;
    return want < most ? want : most;
}

/* Of one thread: every operation on every leaf, with one addition each. */
static int64_t spans_per_step(const bnf_profiler *p, const bnf_plan *plan)
{
    bnf_plan_node_stat stat;
    int lo, hi, nodes = 0;
    while (bnf_plan_node(plan, nodes, &stat))
        nodes++;
    bnf_plan_leaves(plan, &lo, &hi);
    return 2 * (int64_t)nodes * ((hi - lo + p->threads - 1) / p->threads + 2);
}

bnf_status bnf_profiler_begin(bnf_profiler *profiler, const bnf_plan *plan, bnf_loader *loader, bnf_saver *saver)
{
    bnf_profiler *p = profiler;
    if (!p)
        return BNF_OK;
    int64_t steps = p->job->run.profile, asked = p->job->run.profile_spans;
    int64_t rest = steps * (REST_PER_STEP + REST_PER_SEGMENT * (int64_t)(bnf_plan_segments(plan) + 1));
    BNF_TRY(bnf_spans_book(p->spans, asked > 0 ? asked : cap(p, steps * spans_per_step(p, plan)), cap(p, rest)));
    bnf_loader_record(loader, p->spans, p->threads);
    bnf_saver_record(saver, p->spans, p->threads + 1);
    return BNF_OK;
}

static bnf_status write_profile(const bnf_profiler *p, const bnf_profile *profile)
{
    bnf_buf text = {0};
    char *path = NULL;
    bnf_status s = bnf_profile_json(profile, &text);
    if (s == BNF_OK)
        s = bnf_folder_path(p->job, "profile.json", &path);
    if (s == BNF_OK)
        s = bnf_fs_write_atomic(path, bnf_buf_text(&text), text.size);
    bnf_free(path);
    bnf_buf_release(&text);
    return s;
}

static bnf_status write_trace(const bnf_profiler *p, const bnf_plan *plan)
{
    char name[40], *path;
    int rank = bnf_comm_rank(p->comm);
    snprintf(name, sizeof name, "trace/rank-%04d.json", rank);
    BNF_TRY(bnf_folder_path(p->job, name, &path));
    bnf_status s = bnf_profile_trace(p->spans, plan, p->threads, rank, path);
    bnf_free(path);
    return s;
}

/* An earlier run's traces may be of more ranks. */
static bnf_status make_folder(const bnf_profiler *p)
{
    char *path;
    BNF_TRY(bnf_folder_path(p->job, "trace", &path));
    bnf_status s = bnf_fs_remove(path);
    if (s == BNF_OK)
        s = bnf_fs_make_folders(path);
    bnf_free(path);
    return s;
}

static bnf_status end_recording(bnf_profiler *p, const bnf_plan *plan, bnf_profile *profile)
{
    bool first = bnf_comm_rank(p->comm) == 0;
    bnf_pulse_spans(NULL, 0);
    bnf_spans_switch(p->spans, false);
    p->stage = DONE;
    bnf_status s = bnf_comm_agree(p->comm, first ? make_folder(p) : BNF_OK);
    BNF_TRY(s);
    s = write_trace(p, plan);
    if (first && s == BNF_OK) {
        s = bnf_profile_of(p->spans, plan, p->threads, bnf_comm_size(p->comm), profile);
        s = s == BNF_OK ? write_profile(p, profile) : s;
    }
    if (bnf_spans_dropped(p->spans) > 0)
        bnf_log_warning("the profile has no room for %lld spans of rank %d: raise run.profile_spans or record fewer "
                        "steps",
                        (long long)bnf_spans_dropped(p->spans), bnf_comm_rank(p->comm));
    return bnf_comm_agree(p->comm, s);
}

bnf_status bnf_profiler_step(bnf_profiler *profiler, const bnf_plan *plan, bool settled, bnf_profile *profile)
{
    bnf_profiler *p = profiler;
    if (!p || p->stage == DONE)
        return BNF_OK;
    if (p->stage == RECORDING)
        return ++p->seen < p->job->run.profile ? BNF_OK : end_recording(p, plan, profile);
    if (!settled || p->seen++ < BNF_PROFILE_WARM)
        return BNF_OK;
    p->stage = RECORDING;
    p->seen = 0;
    bnf_spans_switch(p->spans, true);
    bnf_pulse_spans(p->spans, 0);
    return BNF_OK;
}

bnf_status bnf_profiler_finish(bnf_profiler *profiler, const bnf_plan *plan, bnf_profile *profile)
{
    if (!profiler || profiler->stage == DONE)
        return BNF_OK;
    if (profiler->stage == RECORDING)
        return end_recording(profiler, plan, profile);
    profiler->stage = DONE;
    bnf_log_warning("nothing was profiled: the run ended within the steps that come before");
    return BNF_OK;
}
