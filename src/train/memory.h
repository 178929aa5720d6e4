/* train/memory.h - memory of this process: what is planned, by purpose, and what the system counts. */
#ifndef BNF_TRAIN_MEMORY_H
#define BNF_TRAIN_MEMORY_H

#include <banff/base.h>

typedef enum bnf_memory_part {
    BNF_MEMORY_DATA = 0,    /* data sets held or indexed */
    BNF_MEMORY_TRAINING,    /* weights, and the training step's activations, gradients, packed weights */
    BNF_MEMORY_EVALUATION,  /* the evaluation's activations and packed weights */
    BNF_MEMORY_LOADERS,     /* batches read ahead */
    BNF_MEMORY_UPDATER,     /* raw weights, optimizer state, messages */
    BNF_MEMORY_CHECKPOINTS, /* the copy that is written in the background, and the file's image (decision 0003) */
    BNF_MEMORY_PARTS
} bnf_memory_part;

extern const char *const bnf_memory_part_names[BNF_MEMORY_PARTS]; /* "data sets", ... */

/* No part of a step allocates, so what is there when a run begins is what it will take. */
typedef struct bnf_memory {
    int64_t start;                   /* bytes that the process had before: program, libraries, MPI */
    int64_t bytes[BNF_MEMORY_PARTS]; /* allocated since, by purpose */
    int64_t counted;                 /* live bytes that are accounted for */
} bnf_memory;

void bnf_memory_begin(bnf_memory *m);
/* What was allocated since the last call belongs to `part`. */
void bnf_memory_count(bnf_memory *m, bnf_memory_part part);
int64_t bnf_memory_planned(const bnf_memory *m); /* start and all parts */

/* Bytes of this process in memory: now, and at most so far; 0 where the system does not tell. */
int64_t bnf_memory_resident(void);
int64_t bnf_memory_resident_peak(void);

#endif
