# Sourced by the other scripts: makes the project's own .venv, once, and again when its requirements change.
source "$(dirname "${BASH_SOURCE[0]}")/make_environment.sh"
make_environment .venv "pyproject.toml constraints.txt" --editable '.[dev]'
