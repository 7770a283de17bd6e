"""Merge a run's adapter into its model.

merge.py --model DIR --adapter DIR --dtype NAME --card README.md --out DIR
"""

import argparse

from ballast.files import read_text, write_text
from ballast.training import cards
from ballast.training.merging import merge


def main(arguments: argparse.Namespace) -> None:
    merge(arguments.model, arguments.adapter, arguments.dtype, arguments.out)
    write_text(f"{arguments.out}/README.md", cards.merged(read_text(arguments.card)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "adapter", "dtype", "card", "out"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
