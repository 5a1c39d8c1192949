#!/usr/bin/env bash
# What a GPU is to show, in 25 minutes of one.
#
#   bash benchmarks/gpu.sh pack mnist|celeba FILE   of the data in AEDA_DATA what a machine without them needs, at most 64 MiB
#   bash benchmarks/gpu.sh run OUT                  there, unpacked and AEDA_DATA set: tests, what attack and epochs take,
#                                                   C-MNIST with three seeds, Table 2 on one fold at 128×128 pixels
#
# OUT gets the records and a log of each step; a step that fails or runs out of time leaves the others alone. Where
# AEDA_DATA holds no MNIST or no CelebA, that chapter is left out. Nobody has run this on a GPU yet: none was at hand.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-.venv/bin/python}
most=$((64 * 1024 * 1024))

fail() {
  echo "$*" >&2
  exit 2
}

pack() { # WHAT FILE
  local what=$1 file=$2 parts size
  case $what in
    mnist) parts=(mnist) ;;
    celeba) parts=(celeba/img_align_celeba celeba/list_attr_celeba.* celeba/identity_CelebA.txt) ;;
    *) fail "there is nothing to pack called '$what'; it is mnist or celeba." ;;
  esac
  # the pattern above is of names in AEDA_DATA
  (cd "${AEDA_DATA:?names no folder with the data}" && tar -c ${parts[*]}) | gzip -9 > "$file" || exit 1
  size=$(wc -c < "$file")
  ((size <= most)) || fail "'$file' has $size bytes, more than $most; leave images out."
  echo "$file: $size bytes"
}

step() { # NAME SECONDS COMMAND…
  local name=$1 seconds=$2
  shift 2
  timeout "$seconds" "$@" > "$out/$name.log" 2>&1
  echo "$name: status $?" | tee -a "$out/steps.txt"
}

run() { # OUT
  "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || fail "torch sees no GPU here."
  out=$(mkdir -p "$1" && cd "$1" && pwd) || exit 1
  export AEDA_RUNS=$out
  nvidia-smi > "$out/device.txt"
  step tests 240 "$python" -m pytest -q tests/test_gpu.py tests/test_attack.py tests/test_methods.py
  step throughput 120 "$python" -m benchmarks.throughput
  [[ -d ${AEDA_DATA:-}/mnist ]] &&
    step cmnist 540 "$python" -m aeda_core sweep cmnist --profile paper --workers 4 --set seeds=3
  [[ -d ${AEDA_DATA:-}/celeba ]] &&
    step celeba 600 "$python" -m aeda_core sweep celeba --profile paper --workers 2 --set size=128 --set seeds=1
}

case "$#,${1:-}" in
  3,pack) pack "$2" "$3" ;;
  2,run) run "$2" ;;
  *) fail "call it as: gpu.sh pack mnist|celeba FILE, or gpu.sh run OUT." ;;
esac
