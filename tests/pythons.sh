#!/bin/sh
# Install the package on other Pythons (`pythons.sh 3.12 3.13`) at the locks' versions, and run the tests of picking there.
set -eu
for version in "$@"; do
  python=
  for found in "python$version" "$HOME/.pyenv/versions/$version".*/bin/python; do
    if "$found" -c "" 2> /dev/null; then python=$found; break; fi
  done
  if [ -z "$python" ]; then
    echo "Python $version: skipped, not on this machine"
    continue
  fi
  folder=.venv-pythons/$version
  rm -rf "$folder"
  "$python" -m venv "$folder"
  # Built from a copy: a build leaves its own files beside what it builds.
  mkdir "$folder/source"
  cp -r pyproject.toml README.md LICENSE scripts "$folder/source"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --constraint envs/run.lock --constraint envs/dev.lock \
    "$folder/source[test]"
  (cd "$folder" && bin/python -c "from ballast import api; print('Python $version:', api.__file__)" && bin/ballast --help > bin/help)
  PYTHONDONTWRITEBYTECODE=1 "$folder/bin/python" -m pytest -p no:cacheprovider @tests/picking.txt
done
