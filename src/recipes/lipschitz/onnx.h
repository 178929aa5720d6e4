/* recipes/lipschitz/onnx.h - a trained network as an ONNX model. */
#ifndef BNF_RECIPES_LIPSCHITZ_ONNX_H
#define BNF_RECIPES_LIPSCHITZ_ONNX_H

#include "recipes/lipschitz/net.h"
#include "train/run.h"

/* Writes the network with its effective weights: pixels[N,C,H,W] f32 -> logits[N,outputs] f32, N open. A pixel is a
 * stored value / 255 for u8 images, so in [0,1]; normalisation is the model's first two operators. Weights and
 * statistics bear the names and have the values of train/npz.h. Not collective. Errors: BNF_ERR_UNSUPPORTED naming a
 * layer that has no form in ONNX here; those of bnf_onnx_write. */
bnf_status bnf_lipschitz_onnx_write(const bnf_lipschitz_net *net, bnf_params *params, const char *path);
/* The same of a run; the recipe's `export_onnx`. */
bnf_status bnf_lipschitz_export_onnx(struct bnf_run *run, const char *path);

#endif
