/* train/profile.h - where the time of training steps goes: run.profile.
 *
 * After the first steps (WARM, and those in which dist.progress: auto tries policies) so many steps are recorded, then
 * every rank writes FOLDER/trace/rank-NNNN.json (for Perfetto) and rank 0 FOLDER/profile.json. Results of training are
 * the same bits with and without. */
#ifndef BNF_TRAIN_PROFILE_H
#define BNF_TRAIN_PROFILE_H

#include "base/str.h"
#include "train/model.h"
#include "train/saver.h"

enum { BNF_PROFILE_WARM = 3, BNF_PROFILE_OPS = 10 };

/* What a step of rank 0's main thread is made of; no moment counts twice. */
typedef enum bnf_profile_part {
    BNF_PROFILE_COMPUTE = 0,
    BNF_PROFILE_REDUCE,
    BNF_PROFILE_BARRIER,
    BNF_PROFILE_WAIT,
    BNF_PROFILE_LOAD,
    BNF_PROFILE_UPDATE,
    BNF_PROFILE_CHECKPOINT,
    BNF_PROFILE_EVALUATE,
    BNF_PROFILE_OTHER,
    BNF_PROFILE_PARTS
} bnf_profile_part;

/* One word each, and what it means. */
extern const char *const bnf_profile_names[BNF_PROFILE_PARTS];
extern const char *const bnf_profile_meanings[BNF_PROFILE_PARTS];

typedef struct bnf_profile_op {
    char op[24], kernel[32], shape[64]; /* of one leaf's first result */
    int64_t node, segment, calls;       /* over all steps and threads */
    double seconds;                     /* per step, summed over threads */
    double gflops, gbytes;              /* 1e9 per second of one thread; gflops 0: not known */
} bnf_profile_op;

typedef struct bnf_profile {
    int64_t steps, ranks, threads;                   /* steps 0: nothing was recorded */
    int64_t first;                                   /* step */
    int64_t dropped;                                 /* spans that had no room, on rank 0 */
    double step_seconds, seconds[BNF_PROFILE_PARTS]; /* per step */
    int64_t n_ops;
    bnf_profile_op ops[BNF_PROFILE_OPS]; /* of rank 0, the longest first */
} bnf_profile;

/* From the lanes of a recorder: [0, threads) those of the plan. Errors: BNF_ERR_MEMORY. */
struct bnf_spans;
bnf_status bnf_profile_of(const struct bnf_spans *spans, const bnf_plan *plan, int threads, int64_t ranks,
                          bnf_profile *profile);
/* The table as text. */
bnf_status bnf_profile_text(const bnf_profile *profile, bnf_buf *text);
/* As one JSON object of numbers and strings, and back. Errors: BNF_ERR_FORMAT naming the file; a file that is not
 * there leaves steps 0. */
bnf_status bnf_profile_json(const bnf_profile *profile, bnf_buf *text);
bnf_status bnf_profile_read(const char *path, bnf_profile *profile);
/* Writes what the lanes hold as a Chrome trace. Errors: BNF_ERR_IO naming the file. */
bnf_status bnf_profile_trace(const struct bnf_spans *spans, const bnf_plan *plan, int threads, int rank,
                             const char *path);

typedef struct bnf_profiler bnf_profiler;

/* NULL if run.profile is 0. [out] profiler owned. Not collective. */
bnf_status bnf_profiler_create(const bnf_job *job, const bnf_comm *comm, int threads, bnf_profiler **profiler);
/* Once the recorder has no user left. NULL is legal, as in all that follow. */
void bnf_profiler_destroy(bnf_profiler *profiler);
/* For bnf_model.spans. */
struct bnf_spans *bnf_profiler_spans(bnf_profiler *profiler);
/* Books room for the steps of the plan; loader and saver tell what they do from now on. Not collective. */
bnf_status bnf_profiler_begin(bnf_profiler *profiler, const bnf_plan *plan, bnf_loader *loader, bnf_saver *saver);
/* Before every step; settled: the plan stays. Collective when the recording ends: then the files are written, and
 * `profile` is filled in on rank 0. */
bnf_status bnf_profiler_step(bnf_profiler *profiler, const bnf_plan *plan, bool settled, bnf_profile *profile);
/* After the last step: ends a recording under way. Collective. */
bnf_status bnf_profiler_finish(bnf_profiler *profiler, const bnf_plan *plan, bnf_profile *profile);

#endif
