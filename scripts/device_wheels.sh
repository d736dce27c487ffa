#!/usr/bin/env bash
# Collects the wheels that scripts/device_check.sh needs on a machine without a network: CPython
# 3.12 on Linux, x86-64, with torch, numpy and a compiler already there.
#
#   scripts/device_wheels.sh FOLDER [--onnxruntime-gpu]
#
# onnxruntime-gpu goes into FOLDER-1, FOLDER-2, …, in pieces of at most 50 MB, one a folder, which
# device_check.sh joins: WHEELS=FOLDER:FOLDER-1:FOLDER-2.
set -euo pipefail
usage="usage: scripts/device_wheels.sh FOLDER [--onnxruntime-gpu]"
folder=${1:?$usage}
[[ $# == 1 || ($# == 2 && $2 == --onnxruntime-gpu) ]] || { echo "$usage" >&2; exit 2; }
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$folder"

# What such a machine lacks of ours, of our tests and of the server that it is compared with, and what
# that needs.
wheels=(
  msgspec granian uvloop psutil httpcore h11 anyio sniffio certifi prometheus-client pyjwt
  cryptography cffi pycparser click joblib
  nvidia-ml-py fastapi starlette pydantic pydantic-core annotated-types annotated-doc
  typing-extensions typing-inspection uvicorn httpx idna
  pytest pytest-timeout pytest-benchmark py-cpuinfo2 pluggy iniconfig packaging pygments
  hypothesis sortedcontainers
)
platforms=()
for glibc in 34 31 28 27 24 17 12 5; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
platforms+=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64 --platform any)

download() {
  local to=$1
  shift
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
    --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" \
    -d "$to" "$@"
}

# The requirement of that name, as constraints.txt pins it where it does.
pinned() {
  local pin
  pin=$(grep -iE "^${1//-/[-_]}==" "$here/constraints.txt" | cut -d' ' -f1 | head -1 || true)
  echo "${pin:-$1}"
}

failed=()
for name in "${wheels[@]}"; do
  [[ $name == pydantic-core ]] && continue
  download "$folder" "$(pinned "$name")" || failed+=("$name")
done
# pydantic wants one version of its core.
core=$(unzip -p "$folder"/pydantic-[0-9]*.whl '*/METADATA' |
  sed -n 's/^Requires-Dist: pydantic-core *\(==[^ ;]*\).*/pydantic-core\1/p' | head -1 || true)
download "$folder" "${core:-pydantic-core}" || failed+=(pydantic-core)

if [[ ${2:-} == --onnxruntime-gpu ]]; then
  whole=$(mktemp -d)
  trap 'rm -rf "$whole"' EXIT
  download "$whole" "$(pinned onnxruntime-gpu)" || failed+=(onnxruntime-gpu)
  for wheel in "$whole"/*.whl; do
    [[ -f $wheel ]] || continue
    split --bytes=50MB --numeric-suffixes=0 --suffix-length=2 "$wheel" "$wheel.part-"
    for part in "$wheel".part-*; do
      to=$folder-$((10#${part##*-} + 1))
      mkdir -p "$to" && mv "$part" "$to/"
    done
  done
fi
shopt -s nullglob  # there are no pieces, if none were asked for
files=("$folder"/*.whl "$folder"-[0-9]*/*.part-*)
((${#files[@]} == 0)) || du -ch --apparent-size "${files[@]}" | sort -h
((${#failed[@]} == 0)) || { echo "could not be had: ${failed[*]}" >&2; exit 1; }
