/* train/saver.h - checkpoints of a run under way: each rank writes what it owns, in the background, from a copy.
 *
 * A checkpoint goes through these stations; collective are only those in capitals:
 *   SAVE      every rank copies what it owns into a buffer that was booked once, and training goes on
 *   (parts)   a thread of each rank builds its part, writes it and waits for the disk
 *   POLL      at a later step, when all ranks have theirs on the disk, lengths and checksums are exchanged
 *   (commit)  rank 0's thread writes the checkpoint itself, which names the parts: now it counts; then prunes
 *   POLL      at a later step all learn of it
 * One rank alone writes a single file. Another checkpoint that is due meanwhile waits until this one is done, so that
 * which checkpoints there are depends on no clock. Threads never call MPI. */
#ifndef BNF_TRAIN_SAVER_H
#define BNF_TRAIN_SAVER_H

#include "train/state.h"

typedef struct bnf_saver bnf_saver;

/* folder: of checkpoints; fence: of this rank, borrowed, NULL: none. Without run.checkpoint_background SAVE does
 * everything and there is no thread. Collective. [out] saver owned. */
bnf_status bnf_saver_create(const bnf_state *state, const char *folder, const bnf_fence *fence, bnf_saver **saver);
/* Gives up what is under way (what is complete stays); not collective. NULL is legal. */
void bnf_saver_destroy(bnf_saver *saver);

/* Begins the checkpoint after `step` finished steps. Collective. Errors, also of POLL and FINISH, which may be those of
 * an earlier checkpoint: those of ckpt/checkpoint.h, the same on every rank; older checkpoints are intact. */
bnf_status bnf_saver_save(bnf_saver *saver, int64_t step);
/* After every step. Costs one small reduction while a checkpoint is under way, else nothing. Collective. */
bnf_status bnf_saver_poll(bnf_saver *saver);
/* Waits until nothing is under way. Collective. */
bnf_status bnf_saver_finish(bnf_saver *saver);

/* Tells a recorder (base/spans.h) when the thread works. Nothing may be under way. Not collective. */
struct bnf_spans;
void bnf_saver_record(bnf_saver *saver, struct bnf_spans *spans, int lane);

typedef struct bnf_saver_stats {
    int64_t saved;  /* step of the newest complete checkpoint of this saver, -1 */
    int64_t count;  /* complete ones */
    double seconds; /* the newest took so long from SAVE on */
    double held;    /* training was held up by all of them for so long, on this rank */
} bnf_saver_stats;
bnf_saver_stats bnf_saver_get_stats(const bnf_saver *saver);

#endif
