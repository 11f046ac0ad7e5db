#!/usr/bin/env bash
# Chooses the newest versions and writes them with the hashes of every file, and no address, to the lock files.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-config --no-annotate --no-header --no-emit-index-url --no-emit-find-links "$@"
}

compile --group dev pyproject.toml --output-file requirements.lock
echo uv | compile - --output-file requirements-uv.lock
