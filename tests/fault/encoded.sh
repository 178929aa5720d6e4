#!/usr/bin/env bash
# Sets of picture files: an import that is killed goes on and ends with the same checksum; a training on random crops has
# the same weights on any number of ranks and threads; damage is named on every rank.
# shellcheck disable=SC1091
. "$2/tests/training.sh"

pictures=200
thorough || pictures=60

# Grey and coloured pictures of several sizes in three classes.
# shellcheck disable=SC2154
for ((i = 0; i < pictures; i++)); do
    folder=$work/set/n0000000$((i % 3))
    [ -d "$folder" ] || mkdir -p "$folder"
    w=$((40 + i % 5)) h=$((36 + i % 7))
    if [ $((i % 4)) = 0 ]; then
        { printf 'P5 %d %d 255\n' $w $h; head -c $((w * h)) /dev/urandom; } >"$folder/$i.pgm"
    else
        { printf 'P6 %d %d 255\n' $w $h; head -c $((3 * w * h)) /dev/urandom; } >"$folder/$i.ppm"
    fi
done
import=("$banff" import folder "$work/set" --store jpeg --part 1 --test-fraction 0.2)
checksum() { "$banff" inspect "$1" --seconds 0 | awk '$1 == "checksum" { print $2 }'; }

checks "import: killed by signal 9 again and again, resumed on other numbers of ranks"
succeed "an import without interruption" "${import[@]}" --out "$work/whole.h5"
parts() { find "$work/set.h5.parts" -name '*.h5' 2>/dev/null | wc -l; }
killed=0
for ranks in 1 3 2; do
    before=$(parts)
    mpirun -n $ranks "${import[@]}" --out "$work/set.h5" --resume >"$work/out" 2>&1 &
    job=$!
    while kill -0 $job 2>/dev/null && [ "$(parts)" -lt $((before + 5)) ]; do sleep 0.002; done
    mapfile -t child < <(pgrep -P $job -x banff)
    [ ${#child[@]} -gt 0 ] && kill -9 "${child[@]}" 2>/dev/null && killed=$((killed + 1))
    wait $job 2>/dev/null
done
echo "killed $killed times, last with $(parts) of $pictures parts done"
[ $killed -gt 0 ] || wrong "no import lived long enough to be killed"
if [ -d "$work/set.h5.parts" ]; then
    refuse "an import that does not say that it goes on" "--resume" -- "${import[@]}" --out "$work/set.h5"
fi
succeed "the last resumption" mpirun -n 2 "${import[@]}" --out "$work/set.h5" --resume
whole=$(checksum "$work/whole.h5") resumed=$(checksum "$work/set.h5")
[ "${whole:-none}" = "$resumed" ] || wrong "the checksums differ: $whole, $resumed"
succeed "inspect" mpirun -n 2 "$banff" inspect "$work/set.h5" --verify --seconds 0.1
for text in "of various sizes" "images/s a core" "verified" "n00000002"; do
    grep -qF "$text" "$work/out" || wrong "inspect does not show '$text'"
done
left=$(find "$work" -name '*.tmp' -o -name '*.parts')
[ -z "$left" ] || wrong "left: $left"

checks "training on random crops: 1 to 4 ranks, threads, threads that decode"
cat >"$work/job.yaml" <<YAML
recipe: lipschitz
seed: 4
run: {progress: off, checkpoint_every: 0, eval_every: 1}
data: {file: $work/set.h5, batch: 24, leaves: 4, size: 16, resized_crop: true, flip: true, normalise: stats}
train: {epochs: 2}
optim: {rule: adam, lr: 0.003}
model:
  constraint: none
  layers:
    - {type: conv, out: 8}
    - {type: relu}
    - {type: avg_pool}
    - {type: flatten}
    - {type: dense, out: 3}
loss: {kind: cross_entropy}
YAML
first=
for form in "1 1 1" "2 2 3" "3 1 2" "4 1 0"; do
    read -r ranks threads decode <<<"$form"
    run=$work/run-$ranks-$threads-$decode
    succeed "training on $ranks ranks" launch "$ranks" "$threads" train "$work/job.yaml" \
        --set "run.folder=$run" --set "data.decode_threads=$decode"
    found=$(weights "$run")
    [ -n "$found" ] || wrong "no weights of $run"
    [ "${first:=$found}" = "$found" ] || wrong "$ranks ranks, $threads threads: other weights"
done

checks "what cannot be"
refuse "no size" "data.size" -- "$banff" train "$work/job.yaml" --set data.size=0 --set data.resized_crop=false --set run.folder="$work/x"
refuse "crops without a size" "data.size" -- "$banff" train "$work/job.yaml" --set data.size=0 --set run.folder="$work/x"
refuse "held by all" "data.store" -- "$banff" train "$work/job.yaml" --set data.store=memory --set run.folder="$work/x"
refuse "a range the wrong way" "crop_scale" -- "$banff" train "$work/job.yaml" --set data.crop_scale='[1, 0.5]' --set run.folder="$work/x"
refuse "a size at import" "--size" -- "${import[@]}" --size 8x8 --out "$work/y.h5"
refuse "repack" "nothing to repack" -- "$banff" repack "$work/set.h5" "$work/z.h5"

# A byte in the middle of the pictures: one rank meets it, all end.
offset=$(stat -c %s "$work/set.h5")
printf 'damage' | dd of="$work/set.h5" bs=1 seek=$((offset / 2)) conv=notrunc 2>/dev/null
every_rank "damage" 2 "$work/set.h5" "picture" -- train "$work/job.yaml" --set "run.folder=$work/damaged"
finish
