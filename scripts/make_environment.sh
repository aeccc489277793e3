# Sourced by environment.sh and benchmark: how to make an environment, once, and again when its requirements change.
# Needs Python 3.11 or newer (PYTHON=... names one) and bash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "no Python 3.11 or newer with venv found: install one, or set PYTHON=/path/to/python" >&2
  exit 1
}

# make_environment FOLDER "FILE ..." PIP-ARGUMENT ...: made anew when one of the files changes.
make_environment() {
  local folder=$1 files=$2 stamp=$1/installed wanted python
  shift 2
  # shellcheck disable=SC2086 # several files in one word
  wanted=$(cat $files | cksum)
  if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    python=$(find_python)
    echo "setting up $folder (about 3 minutes and 6 GB the first time)" >&2
    [ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
    rm -f "$stamp"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$@" >&2
    echo "$wanted" > "$stamp"
  fi
}

# Two threads at most: on small machines more of them cost time.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
