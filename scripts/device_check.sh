#!/usr/bin/env bash
# Builds slipstream on a machine with a GPU, tests it there and measures it, without a network.
#
#   OUT=FOLDER [WHEELS=FOLDER:FOLDER] [PYTHON=python3] [BENCH_ARGS=--quick] scripts/device_check.sh
#
# PYTHON has torch, numpy, pybind11, scikit-build-core, CMake, ninja, onnx and onnxruntime; what else
# is needed is taken from WHEELS (scripts/device_wheels.sh collects them). Each step has a limit,
# together they have BUDGET_S seconds (PATIENCE=2.5: all of it so many times as long, on few cores),
# and one that fails does not keep the later ones from running.
# OUT then holds summary.txt, logs.txt, versions.txt, tests.xml, bench.json and bench.md, those of an
# earlier run are deleted. The exit status is 2 where it is called wrongly, 0 where all is well, 1 where a step failed, 3 where none did and some cannot run here.
# shellcheck disable=SC2329  # steps are called by their names
set -uo pipefail
wrong() { echo "device_check.sh: $*" >&2; exit 2; }

# What is named relatively is meant from where this was called, so before the folder is changed.
self=$(realpath "$0")
: "${OUT:?OUT=FOLDER scripts/device_check.sh}"
mkdir -p "$OUT" && out=$(cd "$OUT" && pwd) || exit 1
host_python=$(command -v "${PYTHON:-python3}") || wrong "there is no PYTHON=${PYTHON:-python3}"
[[ $host_python == /* ]] || host_python=$PWD/$host_python
IFS=: read -ra folders <<<"${WHEELS:-}"
for i in "${!folders[@]}"; do
  [[ -d ${folders[i]} ]] || wrong "there is no folder ${folders[i]}, which WHEELS names"
  folders[i]=$(cd "${folders[i]}" && pwd)
done
[[ -z ${TENSORRT_INCLUDE:-} ]] || TENSORRT_INCLUDE=$(realpath "$TENSORRT_INCLUDE")
export OUT=$out PYTHON=$host_python TENSORRT_INCLUDE
WHEELS=$(IFS=: && echo "${folders[*]}") && export WHEELS
cd "$(dirname "$self")/.." || exit 1

patience=${PATIENCE:-1} budget_s=${BUDGET_S:-700}
[[ $patience =~ ^[0-9]+(\.[0-9]+)?$ ]] || wrong "PATIENCE=$patience is no number, as 1.5 is"
[[ $budget_s =~ ^[0-9]+$ ]] || wrong "BUDGET_S=$budget_s is no whole number of seconds"
stretched() { awk -v seconds="$1" -v times="$patience" 'BEGIN { printf "%d", seconds * times }'; }
budget_s=$(stretched "$budget_s")
work=$PWD/build/device-check
venv=$work/venv
py=$venv/bin/python
cannot_run=75
for_tests=(pytest pytest-timeout pytest-benchmark hypothesis httpx)
optional=(nvidia-ml-py fastapi uvicorn)
export PATH="$venv/bin:$(dirname "$host_python"):$PATH"
export PYTHONUNBUFFERED=1 CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-$(nproc)}

cannot() { echo "cannot run here: $*"; exit "$cannot_run"; }

# One folder of whole wheels: pieces of large ones are joined.
step_wheels() {
  local folder file part number damaged=0
  local -A in_pieces=()
  rm -rf "$work/wheels" && mkdir -p "$work/wheels" || return
  shopt -s nullglob
  for folder in "${folders[@]}"; do
    for file in "$folder"/*.whl; do ln -sf "$(realpath "$file")" "$work/wheels/"; done
    for part in "$folder"/*.whl.part-*; do in_pieces[$(basename "${part%.part-*}")]=; done
  done
  for file in "${!in_pieces[@]}"; do
    for number in $(seq -f %02g 0 99); do
      for part in "${folders[@]/%//$file.part-$number}"; do
        [[ -f $part ]] && cat "$part" >>"$work/wheels/$file" && break
      done
    done
    # A piece that is not there leaves no archive, wherever it was.
    "$host_python" -m zipfile -t "$work/wheels/$file" >/dev/null && continue
    echo "$file: a piece (of $file.part-*) is missing from WHEELS, or damaged"
    rm -f "$work/wheels/$file"
    damaged=1
  done
  return "$damaged"
}

step_environment() {
  rm -rf "$venv"
  "$host_python" -m venv --system-site-packages "$venv" || return
  # Of a Python that is an environment itself, the new one sees only what is below it.
  "$host_python" -c 'import sys, sysconfig
paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
print(*(f"import site; site.addsitedir({path!r})" for path in paths), sep="\n")' \
    >"$("$py" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/_below.pth" || return
  local line missing=()
  local pip=("$py" -m pip install --disable-pip-version-check --no-index)
  pip+=(--find-links "$work/wheels")
  "$py" scripts/requirements.py project build >"$work/requirements.txt" || return
  if ! "${pip[@]}" -r "$work/requirements.txt"; then
    while read -r line; do
      [[ $line == nvidia-cuda-* ]] && continue  # only their headers: a toolkit has them
      "${pip[@]}" "$line" || missing+=("$line")
    done <"$work/requirements.txt"
  fi
  for line in "${for_tests[@]}"; do "${pip[@]}" "$line" || missing+=("$line"); done
  for line in "${optional[@]}"; do "${pip[@]}" "$line" || echo "without $line"; done
  if compgen -G "$work/wheels/onnxruntime_gpu-*.whl" >/dev/null; then
    "${pip[@]}" --no-deps --force-reinstall onnxruntime-gpu || missing+=(onnxruntime-gpu)
  fi
  ((${#missing[@]} == 0)) || { echo "missing: ${missing[*]}"; return 1; }
}

step_versions() {
  {
    git log -1 --format='commit %H' 2>/dev/null
    uname -a; nproc; free -h; "$host_python" -V; c++ --version; cmake --version; nvcc --version
    nvidia-smi -q | grep -E 'Product Name|Driver Version|CUDA Version|PCIe|Gen|Width|Current|Max' \
      -m 60
    nvidia-smi
    "$py" -m pip list --disable-pip-version-check
  } >"$out/versions.txt" 2>&1
  return 0
}

step_build() {
  "$py" -m pip install --disable-pip-version-check --no-index --no-build-isolation --no-deps \
    --editable . && slipstream devices && { grep -h CudaHeaders build/cp*/CMakeCache.txt || true; }
}

step_torch() { slipstream build-backend torch --force; }

step_tensorrt() {
  local headers=${TENSORRT_INCLUDE:-/usr/include/x86_64-linux-gnu}
  [[ -f $headers/NvInfer.h ]] || cannot "no NvInfer.h in $headers (TENSORRT_INCLUDE names a folder)"
  slipstream build-backend tensorrt --include "$headers"
}

step_cpp() {
  local names
  mapfile -t names < <(basename -s .cc -a tests/cpp/{device,cuda,gpu}/test_*.cc)
  cmake --preset dev --log-level=WARNING -DPython_EXECUTABLE="$py" &&
    cmake --build --preset dev --target "${names[@]}" &&
    ctest --preset dev -R "^($(IFS='|'; echo "${names[*]}"))\$" --output-on-failure || return
  local status=0
  build/dev/tests/cpp/gpu/test_real_driver || status=$?
  ((status != 77)) || cannot "test_real_driver found no GPU: the others passed"
  return "$status"
}

step_driver() {
  "$py" -c 'from bench.gpu import bare; from bench.http import generator
bare.library(); generator.program()'
}

need_gpu() {
  local reason
  reason=$("$py" -c 'import slipstream; print(slipstream.devices().reason or "")') || return
  [[ -z $reason ]] || cannot "$reason"
}

step_tests() {
  need_gpu || return
  "$py" -m pytest -p no:cacheprovider -v --timeout=150 --junitxml="$out/tests.xml" \
    tests/gpu
}

step_bench() {
  need_gpu || return
  # shellcheck disable=SC2086  # words
  "$py" -m bench gpu ${BENCH_ARGS:---quick} --output "$out/bench.json"
}

# run NAME SECONDS: the step in a process of its own, within its limit and what is left of all.
run() {
  local left=$((budget_s - SECONDS)) began=$SECONDS limit status said
  limit=$(stretched "$2")
  limit=$((left < limit ? left : limit))
  if ((limit < 5)); then echo "$1: not begun, no time is left" >>"$work/summary"; return; fi
  timeout --kill-after=10 "$limit" "$BASH" "$self" --step "$1" >"$work/logs/$1.log" 2>&1
  status=$?
  case $status in
    0) said=ok ;;
    "$cannot_run") said=$(grep '^cannot run here' "$work/logs/$1.log" | tail -1) ;;
    124 | 137) said="FAILED: more than $limit s" ;;
    *) said="FAILED ($status): $(tail -1 "$work/logs/$1.log")" ;;
  esac
  echo "$1: $said ($((SECONDS - began)) s)" | tee -a "$work/summary"
}

if [[ ${1:-} == --step ]]; then "step_$2"; exit; fi
# Of an earlier run nothing is left, which could be taken for what this one found.
rm -f "$out"/{summary.txt,logs.txt,versions.txt,tests.xml,bench.json,bench.md} || exit 1
rm -rf "$work/logs" "$work/summary" && mkdir -p "$work/logs" || exit 1
run wheels 60
run environment 120
run build 240
run versions 30
# Compilers, side by side: none of them uses all cores all the time.
run torch 240 & run tensorrt 120 & run cpp 240 & run driver 240 &
wait
run tests 240
run bench 330
cp "$work/summary" "$out/summary.txt"
for log in "$work"/logs/*.log; do
  echo "==== $(basename "$log")"
  tail -n 4000 "$log"
done >"$out/logs.txt"
cat "$out/bench.md" 2>/dev/null
printf '\n'
cat "$out/summary.txt"
grep -qE 'FAILED|not begun' "$out/summary.txt" && exit 1
grep -q 'cannot run here' "$out/summary.txt" && exit 3
exit 0
