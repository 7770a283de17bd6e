"""Advise which sampler and n keep the fine-tuned model within the config's `targets`: words, table, figure.

    advice.py --options JSON --scores SCORES.parquet... --out-txt F --out-csv F --out-md F
        --out-pdf F --out-svg F --out-png F --out-data F

`--out-data` is the figure's CSV: its cells with their intervals.
"""

import argparse

from ballast.files import write_csv, write_text
from ballast.results.advice import advise, narrowed, table
from ballast.results.advice_figure import draw
from ballast.results.advice_words import sentences, to_markdown
from ballast.results.style import METADATA, save, styled
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    options = narrowed(parse_options("advice", arguments.options))
    advice = advise(options, arguments.scores)
    write_text(arguments.out_txt, "\n".join(["Advice", *sentences(advice, options)]) + "\n")
    write_csv(arguments.out_csv, table(advice).assign(synthetic=options.synthetic))
    write_text(arguments.out_md, to_markdown(advice, options))
    with styled():
        drawn = draw(advice, options)
    for kind in METADATA:
        save(drawn.figure, getattr(arguments, f"out_{kind}"), kind)
    write_csv(arguments.out_data, drawn.data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    for kind in ("txt", "csv", "md", *METADATA, "data"):
        parser.add_argument(f"--out-{kind}", required=True)
    main(parser.parse_args())
