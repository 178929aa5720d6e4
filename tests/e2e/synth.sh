#!/usr/bin/env bash
# banff synth: every generator writes the same bytes alone and on three ranks; a sparse set is told as such.
# Usage: synth.sh BUILD SOURCE
. "$2/tests/training.sh"

for kind in "glyphs --seed 2" "wasserstein --size 16 --side 5" "koch --seed 3" \
    "showers --sectors --signal svj44 --test-signal 9 --store dense" "showers --test-signal 3 --deflate 4"; do
    checks "synth $kind"
    # shellcheck disable=SC2086
    succeed "synth $kind alone" "$banff" synth $kind --out "$work/a.h5" --train 301 --test 50
    # shellcheck disable=SC2086
    succeed "synth $kind on 3 ranks" launch 3 1 synth $kind --out "$work/b.h5" --train 301 --test 50
    cmp -s "$work/a.h5" "$work/b.h5" || wrong "synth $kind: other bytes on 3 ranks"
done

checks "a sparse set"
succeed "inspect on 2 ranks" launch 2 1 inspect "$work/b.h5" --verify --seconds 0
for text in "u8[301,72,58,1]" "cells that are not zero" "suep1000" "verified"; do
    grep -qF "$text" "$work/out" || wrong "inspect does not show '$text'"
done
refuse "sectors of fine cells" "leave --fine out" -- "$banff" synth showers --out "$work/d.h5" --sectors --fine
refuse "unknown signal" "'suep1' is no class" -- "$banff" synth showers --out "$work/d.h5" --signal suep1
finish
