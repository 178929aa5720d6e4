/* ckpt/fence.h - whose folder it is: generations, so that a job that was cut off, paused or given up and lives on
 * cannot harm the one that has taken its place.
 *
 * Every job that writes into a folder of checkpoints first takes the next generation there: it creates
 * FOLDER/generations/<number> under a name that nobody can have twice (a hard link to a finished file, which is atomic
 * on network file systems, too). From then on
 *   - a job checks before everything it writes that its generation is still the newest, and stops with
 *     BNF_ERR_FENCED if it is not;
 *   - what it writes carries its generation in its name (ckpt/name.h), so that a write that passes the check just
 *     before a take-over cannot replace anything of the successor;
 *   - a job notes which step it goes on from, and checkpoints of older generations beyond that step do not count
 *     any more, whenever they appear.
 * No clock is compared between hosts and no file is locked. See docs/decisions/0012-fencing.md.
 *
 *     generations/000002          host, process, job, time of the second job
 *     generations/000002.from     the step it goes on from; -1: from the start; "void": it never got so far
 *     generations/000002.beat     a counter that its rank 0 raises every second
 *     generations/000002.done     it has ended by itself */
#ifndef BNF_CKPT_FENCE_H
#define BNF_CKPT_FENCE_H

#include <banff/base.h>
#include <stdbool.h>

typedef struct bnf_fence bnf_fence;

/* Takes the next generation of `folder`, which is created if it is missing, for a job of so many ranks. One rank.
 * A job that has the folder and is alive keeps it unless `take_over`: a process on this host (waited for a few
 * seconds, since it may be about to end), or one elsewhere whose counter moves while it is watched. The same SLURM
 * job, restarted, takes over from itself.
 * [out] fence owned, release with bnf_fence_release. Errors: BNF_ERR_FENCED naming host, process, job and time of who
 * has the folder; BNF_ERR_IO. */
bnf_status bnf_fence_take(const char *folder, bool take_over, int ranks, bnf_fence **fence);

/* The same generation for another rank of the job that has taken it. [out] fence owned. */
bnf_status bnf_fence_join(const char *folder, int64_t generation, bnf_fence **fence);

/* Ends it. `done`: the job has ended by itself and gives the folder up (for the rank that has taken it). NULL is
 * legal. */
void bnf_fence_release(bnf_fence *fence, bool done);

/* Whom it has followed although that one had not ended by itself: "generation 1, since ..."; "" if there is none such.
 * */
const char *bnf_fence_predecessor(const bnf_fence *fence);

int64_t bnf_fence_generation(const bnf_fence *fence); /* NULL: 1 */

/* Ok while no newer job has the folder. Reads the folder; thread-safe. NULL: ok. Errors: BNF_ERR_FENCED naming who has
 * taken over, BNF_ERR_IO. */
bnf_status bnf_fence_check(const bnf_fence *fence);

/* Notes, once, that the job goes on from the checkpoint after `step` (-1: starts anew): from now on checkpoints of
 * older generations beyond it do not count. The rank that has taken the generation. */
bnf_status bnf_fence_begin(const bnf_fence *fence, int64_t step);

/* ---- what counts ----------------------------------------------------------------------------------------------- */

/* For every generation of a folder, the last step at which checkpoints of older ones count. */
typedef struct bnf_lineage {
    int64_t count;
    struct {
        int64_t generation, from;
    } * begun; /* owned */
} bnf_lineage;

/* [out] lineage owned, release with bnf_lineage_release. A folder without generations has none. */
bnf_status bnf_lineage_load(const char *folder, bnf_lineage *lineage);
void bnf_lineage_release(bnf_lineage *lineage);
/* Whether a checkpoint of this step and generation is part of the run: no later generation went on from before it. */
bool bnf_lineage_counts(const bnf_lineage *lineage, int64_t step, int64_t generation);

#endif
