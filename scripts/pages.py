"""Turn documents into HTML pages for the report.

pages.py --titles JSON --documents FILE.{md,txt}... --out PAGE.html...
"""

import argparse
import json

from ballast.files import read_text, write_text
from ballast.results import html


def main(arguments: argparse.Namespace) -> None:
    titles = json.loads(arguments.titles)
    for document, title, out in zip(arguments.documents, titles, arguments.out, strict=True):
        turn = html.from_markdown if document.endswith(".md") else html.from_text
        write_text(out, turn(read_text(document), title))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--titles", required=True)
    parser.add_argument("--documents", nargs="+", required=True)
    parser.add_argument("--out", nargs="+", required=True)
    main(parser.parse_args())
