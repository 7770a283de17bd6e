"""Fetch one source at its pinned revision, check it, and write its manifest.

fetch.py --name NAME --source JSON [--allow-unpinned] --out DIR
"""

import argparse
import json
import sys

from ballast.data.fetching import fetch


def main(arguments: argparse.Namespace) -> None:
    manifest = fetch(arguments.name, json.loads(arguments.source), arguments.out, arguments.allow_unpinned)
    print(f"{arguments.name}: {len(manifest['sha256'])} files at {manifest['revision']}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--allow-unpinned", action="store_true")
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
