"""Write the list of claims in docs/claims.md from the code: `python scripts/claims_docs.py`."""

from pathlib import Path

from ballast.claims import page
from ballast.files import read_text, write_text
from ballast.plugins import HOME
from ballast.published import tables

DOCS = Path(__file__).parents[1] / "docs/claims.md"
HEADING = "## The claims, and what the published tables say\n\n"


def main() -> None:
    above, found, _ = read_text(DOCS).partition(HEADING)
    printed = page.published(tables.read(str(HOME / "published/tables.csv")))
    write_text(DOCS, above + found + page.listing(printed))


if __name__ == "__main__":
    main()
