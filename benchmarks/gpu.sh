#!/usr/bin/env bash
# What a GPU is to show, in 25 minutes of one: bash benchmarks/gpu.sh OUT
# Tests, C-MNIST with three seeds, and Table 2 on one fold at 128×128 pixels where AEDA_DATA holds CelebA. What an epoch
# takes stands in the records.
# OUT gets the records and a log of each step; a step that fails or runs out of time leaves the others alone.
# Nobody has run this script yet: no GPU was at hand.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
python=${PYTHON:-.venv/bin/python}
export AEDA_RUNS=$out
"$python" -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU"' || exit 1
nvidia-smi > "$out/device.txt"

step() { # NAME SECONDS COMMAND…
  local name=$1 seconds=$2
  shift 2
  timeout "$seconds" "$@" > "$out/$name.log" 2>&1
  echo "$name: status $?" | tee -a "$out/steps.txt"
}

step tests 240 "$python" -m pytest -q tests/test_gpu.py tests/test_attack.py tests/test_methods.py
step cmnist 600 "$python" -m aeda_core sweep cmnist --profile paper --workers 4 --set seeds=3
step celeba 600 "$python" -m aeda_core sweep celeba --profile paper --workers 2 --set size=128 --set seeds=1
