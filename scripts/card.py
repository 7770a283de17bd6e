"""Write the model card of a run's adapter.

card.py --adapter FILE --config FILE --log FILE --base ROWS.parquet --pool ROWS.parquet [--subset FILE] [--kept FILE]
        --options JSON --out README.md

`options` is the config's part about the run (`ballast.training.cards.ModelCard`).
"""

import argparse
import json

from ballast.files import digest, read_json, write_text
from ballast.training import cards

FILES = ("adapter", "config", "base", "pool")
PERHAPS = ("subset", "kept")


def main(arguments: argparse.Namespace) -> None:
    files = {name: getattr(arguments, name) for name in (*FILES, *PERHAPS)}
    digests = {name: digest(path) for name, path in files.items() if path}
    log = read_json(arguments.log)
    write_text(arguments.out, cards.card(cards.ModelCard(**json.loads(arguments.options)), log, digests))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in (*FILES, "log", "options", "out"):
        parser.add_argument(f"--{name}", required=True)
    for name in PERHAPS:
        parser.add_argument(f"--{name}")
    main(parser.parse_args())
