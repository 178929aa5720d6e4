#!/usr/bin/env bash
# No room for a checkpoint, and folders that cannot be written: an error that names the file on every rank, older
# checkpoints intact, and with room again the run goes on to the same weights. A small file system of its own needs root
# (a mount in a private name space); a limit on the size of files does without.
if [ "$(id -u)" = 0 ] && [ -z "${BNF_TEST_PRIVATE:-}" ] && unshare -m true 2>/dev/null; then
    BNF_TEST_PRIVATE=1 exec unshare -m bash "$0" "$@"
fi
# shellcheck disable=SC1091
. "$2/tests/training.sh"

succeed "synth" "$banff" synth shapes --out "$work/d.h5" --train 64 --test 16 --size 16x16
cat >"$work/c.yaml" <<YAML
recipe: lipschitz
run: {folder: $work/run, progress: off, log_every: 2, checkpoint_every: 3, keep: 10}
data: {file: $work/d.h5, batch: 16, leaves: 4}
train: {epochs: 9, steps: 12}
optim: {rule: adam}
model:
  layers:
    - {type: flatten}
    - {type: dense, out: 64}
    - {type: groupsort2}
    - {type: head, out: 10}
YAML
train=(train "$work/c.yaml")

succeed "train" launch 2 1 "${train[@]}"
expect=$(weights "$work/run")
bytes=$(cat "$work"/run/checkpoints/ckpt-000000000012* | wc -c) # all parts
[ "$bytes" -gt 100000 ] || wrong "checkpoints of $bytes bytes are too small for this test"

# without FOLDER STEP...: removes these checkpoints
without() {
    local folder=$1 n
    shift
    for n; do rm "$folder/checkpoints/$(printf 'ckpt-%012d' "$n")"*; done
}

# intact FOLDER STEP...: these checkpoints verify, there is no other, and nothing of one that failed
intact() {
    local folder=$1 n found
    shift
    for n; do
        "$banff" eval "$(checkpoint "$folder" "$n")" >"$work/out" 2>&1 || wrong "the checkpoint of step $n is damaged"
    done
    found=$(find "$folder/checkpoints" -name 'ckpt-*' | sed 's/.*ckpt-\([0-9]*\).*/\1/' | sort -u | wc -l)
    [ "$found" = $# ] || wrong "files of $found checkpoints in $folder/checkpoints, expected $#"
    found=$(find "$folder/checkpoints" -name '*.tmp' -o -name '.new*')
    [ -z "$found" ] || wrong "left behind: $found"
}

limited_files() {
    checks "a limit on the size of files: the checkpoint fails, what is there stays, and the run goes on without the limit"
    # The signal XFSZ ends programs; ignored, the call fails as on a full disk. MPI's own files are larger than the limit,
    # which therefore comes below mpirun, and one rank needs no shared memory.
    limited() {
        # shellcheck disable=SC2016,SC2317 # expanded by the inner shell; called by refuse
        OMP_NUM_THREADS=1 timeout "$limit" mpirun -n 1 --mca btl self \
            bash -c 'trap "" XFSZ && ulimit -f "$0" && exec "$@"' $((bytes / 2 / 1024)) "$banff" "$@"
    }
    refuse "first checkpoint" "ckpt-000000000003.h5" -- limited "${train[@]}" --set run.folder="$work/first"
    intact "$work/first"
    succeed "train" launch 1 1 "${train[@]}" --set run.folder="$work/first" --resume auto
    [ "$(weights "$work/first")" = "$expect" ] || wrong "weights differ"
    if thorough; then
        cp -r "$work/run" "$work/later"
        without "$work/later" 9 12
        refuse "later checkpoint" "ckpt-000000000009-g2.h5" \
            -- limited "${train[@]}" --set run.folder="$work/later" --resume auto
        intact "$work/later" 3 6
        succeed "resume" launch 2 1 "${train[@]}" --set run.folder="$work/later" --resume auto
        [ "$(weights "$work/later")" = "$expect" ] || wrong "weights differ"
    fi
}
if [ "$slow" = thread ]; then
    echo "- skipped: a limit on the size of files, which ThreadSanitizer's own files exceed"
else
    limited_files
fi

checks "a run folder below a regular file, and a regular file as run folder"
every_rank "below a file" 2 "$work/d.h5" -- "${train[@]}" --set run.folder="$work/d.h5/run"
every_rank "a file" 2 "$work/d.h5" -- "${train[@]}" --set run.folder="$work/d.h5"
checks "a folder in the place of a file"
mkdir -p "$work/blocked/log.txt"
every_rank "log.txt" 2 "$work/blocked/log.txt" -- "${train[@]}" --set run.folder="$work/blocked"

if [ -z "${BNF_TEST_PRIVATE:-}" ]; then
    echo "- left out without root: a full file system, a read-only file system"
    finish
fi

mkdir "$work/small"
mount -t tmpfs -o size=$((20 * bytes)) none "$work/small" || wrong "mount"
trap 'umount -l "$work/small"; rm -rf "$work"' EXIT
on_small=("${train[@]}" --set run.folder="$work/small/run")
checks "a full file system: error on every rank, older checkpoints intact; with room again the same weights"
cp -r "$work/run" "$work/small/run"
without "$work/small/run" 9 12
# Fill it but for half a checkpoint: metrics and log still fit.
free=$(($(stat -f -c '%a * %S' "$work/small")))
head -c $((free - bytes / 2)) /dev/zero >"$work/small/ballast"
every_rank "full" 2 "ckpt-000000000009-g2." "No space left" -- "${on_small[@]}" --resume auto
[ "$code" = 1 ] || wrong "full: exit code $code"
intact "$work/small/run" 3 6
checks "quite full: not even a line of metrics fits"
head -c $((2 * bytes)) /dev/zero >>"$work/small/ballast" 2>/dev/null
every_rank "quite full" 2 "$work/small/run" "No space left" -- "${on_small[@]}" --resume auto
intact "$work/small/run" 3 6
rm "$work/small/ballast"
succeed "resume" launch 3 1 "${on_small[@]}" --resume auto
[ "$(weights "$work/small/run")" = "$expect" ] || wrong "weights differ"
intact "$work/small/run" 3 6 9 12

checks "a read-only file system: a new run, a run that goes on, a report; reading works"
mount -o remount,ro "$work/small" || wrong "remount"
every_rank "new run" 2 "$work/small/new" "Read-only" -- "${train[@]}" --set run.folder="$work/small/new"
every_rank "resume" 2 "$work/small/run" "Read-only" -- "${on_small[@]}" --resume auto
every_rank "overwrite" 2 "$work/small/run" "Read-only" -- "${on_small[@]}" --overwrite
every_rank "report" 2 "$work/small/run" "Read-only" -- report "$work/small/run"
every_rank "import" 2 "$work/small/new.h5" -- synth shapes --out "$work/small/new.h5" --train 10
succeed "eval" launch 2 1 eval "$work/small/run"
intact "$work/small/run" 3 6 9 12
finish
