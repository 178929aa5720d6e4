/* recipes/lipschitz/explain_write.h - what `banff explain` leaves: RUN/explain/maps.h5 and pictures. */
#ifndef BNF_RECIPES_LIPSCHITZ_EXPLAIN_WRITE_H
#define BNF_RECIPES_LIPSCHITZ_EXPLAIN_WRITE_H

#include "recipes/lipschitz/explain.h"
#include "recipes/lipschitz/explain_cmd.h"

/* RUN/explain/maps.h5 under construction, written by all ranks together; it gets its name when it is complete:
 *
 *   /images [n,h,w,c] f32   pixels: u8 images in [0,1]     /samples i64 [n], /labels, /predicted, /explained i32 [n]
 *   /maps/METHOD [n,h,w] f32                                /lead, /slope f64 [n]: f(x), |grad f(x)| (explain.h)
 *   /strip [n,t,h,w,c] f32                                  /strip_lead f64 [n,t], /strip_class i32 [n,t]
 *   /turned [n,h,w,c] f32                                   /turned_class i32 [n], /turned_distance f64 [n]
 *
 * Attributes of the root: weights, step, split, of_label, t, scaled, the data set's checksum, names of the classes; of
 * a map: its settings. The content does not depend on the number of ranks. */
typedef struct bnf_lipschitz_explain_file bnf_lipschitz_explain_file;

/* Collective. [out] file owned. Errors: BNF_ERR_IO. */
bnf_status bnf_lipschitz_explain_file_create(bnf_run *run, const bnf_lipschitz_net *net,
                                             const bnf_lipschitz_explain_settings *settings,
                                             bnf_lipschitz_explain_file **file);
/* The samples of `e` are e->n neighbours from `first` on, counted from the first that is explained; n may be 0.
 * `local`: how this rank fared. Collective. */
bnf_status bnf_lipschitz_explain_file_put(bnf_lipschitz_explain_file *file, int64_t first,
                                          const bnf_lipschitz_explained *e, bnf_status local);
/* Writes the facts of all samples, the same on every rank, and closes: after success maps.h5 is there, else nothing is.
 * `file` is gone. Collective. */
bnf_status bnf_lipschitz_explain_file_finish(bnf_lipschitz_explain_file *file, const bnf_lipschitz_facts *facts,
                                             bnf_status local);

/* RUN/explain/sample-NNNNNN.png of the i-th of e: above the sample and its maps in the order of their names in
 * bnf_lipschitz_method_names, then the turned picture; below the strip. Enlarged by a whole factor. Not collective. */
bnf_status bnf_lipschitz_explain_picture(const bnf_run *run, const bnf_lipschitz_explained *e, int64_t i);

/* Removes maps.h5 and pictures of an earlier call from RUN/explain (metrics.json stays: it says of which weights it is)
 * and makes the folder. For one rank. */
bnf_status bnf_lipschitz_explain_clear(const bnf_run *run);

#endif
