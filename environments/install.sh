#!/usr/bin/env bash
# Usage: install.sh RELEASE VENV [PYTHON]
#
# Makes a training environment in VENV: verl as locked in verl-RELEASE (0.7, 0.8 or 0.9), and this
# repository's node package. It may be run again at any time: an existing VENV is brought up to the
# lock, never removed.
set -euo pipefail

usage='usage: install.sh RELEASE VENV [PYTHON]'
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
release=${1:?$usage}
venv=${2:?$usage}
python=${3:-python3}
pins=$here/verl-$release
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

if [ ! -f "$pins/lock.txt" ]; then
    echo "install.sh: no verl $release here; there are:" "$(cd "$here" && echo verl-*)" >&2
    exit 1
fi

if [ ! -x "$venv/bin/python" ]; then
    if [ -e "$venv" ] && [ -n "$(ls -A "$venv")" ]; then
        echo "install.sh: $venv is in use for something else" >&2
        exit 1
    fi
    "$python" -m venv "$venv"
fi

if ! "$venv/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))'; then
    echo "install.sh: the training environment needs Python 3.11 or 3.12, $venv has" \
        "$("$venv/bin/python" -V 2>&1)" >&2
    exit 1
fi

pip install --constraint "$pins/lock.txt" --requirement "$pins/requirements.txt"
# setuptools builds the node package; its own requirements are in the lock already.
pip install --no-deps --editable "$here/node"
"$venv/bin/python" -c 'import torch, verl; print("verl", verl.__version__, "torch", torch.__version__)' \
    2>/dev/null || { echo "install.sh: verl cannot be imported from $venv" >&2; exit 1; }
