/* report/events.h - writes TensorBoard event files (scalars), without TensorFlow or protobuf libraries.
 *
 * The file is a sequence of TFRecord frames: u64 length, masked CRC-32C of the length, payload, masked CRC-32C of the
 * payload, all little-endian. A payload is one Event message: wall_time (1, f64), step (2, varint), file_version (3)
 * or summary (5) or session_log (7). One writer per run, on one rank; not thread-safe, not collective. */
#ifndef BNF_REPORT_EVENTS_H
#define BNF_REPORT_EVENTS_H

#include <banff/base.h>

typedef struct bnf_events bnf_events;

/* Creates `dir`/events.out.tfevents.<seconds>.<host>.<pid>[.<k>] (never an existing file) and writes the version
 *   record. wall_time    seconds since 1970, stored in the first record
 *   resume_step  0 for a fresh run; else a session start is recorded with it, at which TensorBoard drops what older
 *                files of the folder say about steps >= resume_step
 * [out] events owned. Errors: BNF_ERR_IO naming the file. */
bnf_status bnf_events_create(const char *dir, double wall_time, int64_t resume_step, bnf_events **events);

/* Appends one scalar: `tag` such as "train/loss". Errors: BNF_ERR_IO, BNF_ERR_MEMORY. */
bnf_status bnf_events_scalar(bnf_events *events, const char *tag, int64_t step, double value, double wall_time);

/* Hands everything to the operating system, so that a reader sees it. */
bnf_status bnf_events_flush(bnf_events *events);

/* The file's path. Borrowed. */
const char *bnf_events_path(const bnf_events *events);

/* Flushes, closes and releases; NULL is legal. A failure to write is returned; the memory is released in any case. */
bnf_status bnf_events_close(bnf_events *events);

#endif
