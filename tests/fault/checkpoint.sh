#!/usr/bin/env bash
# Damaged checkpoints: resume says which it refuses and why, takes the newest sound one, and ends with the same weights;
# when none is sound, or the damaged one was named, every rank ends with an error and the files stay as they are.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 8x8
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/run, progress: off, log_every: 2, checkpoint_every: 3, keep: 10}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 9, steps: 12}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 16}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
train=(train "$work/c.yaml")
# Two ranks: a checkpoint is a file that names two parts. part STEP: the first of them.
at() { printf '%s/run/checkpoints/ckpt-%012d.h5' "$work" "$1"; }
part() { printf '%s/run/checkpoints/ckpt-%012d.part-0000.h5' "$work" "$1"; }

succeed "train" launch 2 1 "${train[@]}"
expect=$(weights "$work/run")
cp -r "$work/run" "$work/keep"
again() { rm -rf "$work/run"; cp -r "$work/keep" "$work/run"; }

# damage FILE KIND
damage() {
    local size
    size=$(stat -c %s "$1")
    case $2 in
        empty) : >"$1" ;;
        half) truncate -s $((size / 2)) "$1" ;;
        longer) printf x >>"$1" ;;
        head) printf 'x' | dd of="$1" bs=1 seek=20 conv=notrunc 2>/dev/null ;;
        middle) printf '\252\125\252' | dd of="$1" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null ;;
        tail) printf '\252\125\252' | dd of="$1" bs=1 seek=$((size - 3)) conv=notrunc 2>/dev/null ;;
        text) echo "no checkpoint" >"$1" ;;
        folder) rm "$1" && mkdir "$1" ;;
    esac
}

kinds="half middle folder"
thorough && kinds="empty half longer head middle tail text folder"
for kind in $kinds; do
    checks "the newest is damaged ($kind): refused by name, the one before it goes on"
    again
    damage "$(at 12)" "$kind"
    before=$(sha256sum <"$(at 9)")
    succeed "resume" launch 2 1 "${train[@]}" --resume auto
    [ "$(weights "$work/run")" = "$expect" ] || wrong "$kind: weights differ"
    grep -qF "$(at 12)" "$work/run/log.txt" || wrong "$kind: log.txt does not name what was refused"
    grep -qF "resumed $(at 9)" "$work/run/log.txt" || wrong "$kind: log.txt does not name what was taken"
    [ "$(sha256sum <"$(at 9)")" = "$before" ] || wrong "$kind: the older checkpoint has changed"
    [ -e "$(at 12)" ] && wrong "$kind: the damaged checkpoint, which is no part of the run any more, is still there"
done
for kind in half middle gone; do
    checks "a part of the newest is damaged ($kind)"
    again
    if [ $kind = gone ]; then rm "$(part 12)"; else damage "$(part 12)" "$kind"; fi
    succeed "resume" launch 1 1 "${train[@]}" --resume auto
    [ "$(weights "$work/run")" = "$expect" ] || wrong "part, $kind: weights differ"
    grep -qF "$(part 12)" "$work/run/log.txt" || wrong "part, $kind: log.txt does not name what was refused"
    grep -qF "resumed $(at 9)" "$work/run/log.txt" || wrong "part, $kind: log.txt does not name what was taken"
done
checks "a part of another checkpoint in its place is refused"
again
cp "$(part 9)" "$(part 12)"
every_rank "another part" 2 "$(part 12)" "not the part" -- eval "$(at 12)"

checks "the message names the file and the reason; the two newest are damaged"
again
damage "$(at 12)" middle
damage "$(at 9)" half
succeed "resume" with_leaks launch 2 1 "${train[@]}" --resume auto
for text in "$(basename "$(at 12)")" "$(basename "$(at 9)")" "checksum" "truncated"; do
    grep -qF -- "$text" "$work/out" || wrong "no '$text' in the message"
done
grep -qF "resumed $(at 6)" "$work/run/log.txt" || wrong "step 6 was not taken"
[ "$(weights "$work/run")" = "$expect" ] || wrong "weights differ"

if thorough; then
    checks "what an interrupted commit left is no checkpoint and goes away"
    again
    rm "$(at 12)"
    cp "$(at 9)" "$(at 12).tmp"
    succeed "resume" launch 1 1 "${train[@]}" --resume auto
    [ "$(weights "$work/run")" = "$expect" ] || wrong "weights differ"
    [ -e "$(at 12).tmp" ] && wrong "the temporary file is still there"
fi

checks "none is sound: an error on every rank that names them all; nothing is overwritten"
again
for n in 3 6 9 12; do damage "$(at $n)" middle; done
before=$(cat "$work"/run/checkpoints/ckpt* "$work/run/metrics.jsonl" | sha256sum)
every_rank "none sound" 2 "$(basename "$(at 3)")" "$(basename "$(at 12)")" "checksum" -- "${train[@]}" --resume auto
every_rank "none sound, eval" 2 "$(basename "$(at 12)")" -- eval "$work/run"
[ "$(cat "$work"/run/checkpoints/ckpt* "$work/run/metrics.jsonl" | sha256sum)" = "$before" ] || wrong "files have changed"

checks "a damaged one asked for by name: refused, not replaced by another"
again
damage "$(at 6)" middle
every_rank "by name" 3 "$(at 6)" "checksum" -- "${train[@]}" --resume "$(at 6)"
every_rank "by name, eval" 2 "$(at 6)" -- eval "$(at 6)"
succeed "another by name" launch 2 1 "${train[@]}" --resume "$(at 3)"
[ "$(weights "$work/run")" = "$expect" ] || wrong "weights differ"
if thorough; then
    checks "eval takes the newest sound one and says so"
    again
    damage "$(at 12)" tail
    succeed "eval" launch 2 1 eval "$work/run"
    grep -qF "step 9" "$work/out" || wrong "eval did not take step 9"
    grep -qF "$(basename "$(at 12)")" "$work/out" || wrong "eval does not name what it refused"
    checks "a checkpoint of another network is refused by the name of what does not fit"
    sed 's/out: 16/out: 20/' "$work/c.yaml" >"$work/other.yaml"
    succeed "another network" launch 1 1 train "$work/other.yaml" --set run.folder="$work/other" --set train.steps=3
    again
    cp "$work/other/checkpoints/ckpt-000000000003.h5" "$(at 15)" # one rank: all in one file
    every_rank "another network" 2 "$(at 15)" "dense1.weight" -- eval "$(at 15)"
fi
finish
