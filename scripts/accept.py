"""Print the findings about a study's data, and fail if one would ruin a result.

accept.py --report F.md --findings F.json [--out F.txt]
"""

import argparse

from ballast.data import inspection
from ballast.files import read_json, read_text, write_text


def main(arguments: argparse.Namespace) -> None:
    print(read_text(arguments.report))
    inspection.refuse(read_json(arguments.findings))
    if arguments.out:
        write_text(arguments.out, "accepted\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", required=True)
    parser.add_argument("--findings", required=True)
    parser.add_argument("--out")
    main(parser.parse_args())
