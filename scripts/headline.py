"""Write the headline of a study: seven lines for the end-of-run message.

headline.py --options JSON --scores SCORES.parquet... --out TEXT
"""

import argparse

from ballast.files import write_text
from ballast.results.headline import headline
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    write_text(arguments.out, headline(parse_options("headline", arguments.options), arguments.scores))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
