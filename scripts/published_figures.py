"""Draw Figures 3 and 4 from the paper's printed tables: `python scripts/published_figures.py --out DIR`.

Writes figure3 and figure4 as PDF, SVG and PNG, to lay beside those of a study.
"""

import argparse

from ballast.plugins import HOME
from ballast.published import figures, tables
from ballast.results.style import METADATA, save


def main(out: str) -> None:
    printed = tables.read(str(HOME / "published/tables.csv"))
    for name in figures.TABLES:
        drawn = figures.draw(name, printed)
        for kind in METADATA:
            save(drawn, f"{out}/{name}.{kind}", kind)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="a folder")
    main(parser.parse_args().out)
