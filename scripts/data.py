"""Read one dataset in the schema of its source and write it in Ballast's row schema, with ids made of content.

data.py --kind pool|base|references|benchmark --format READER --source FILE [--columns JSON] [--where JSON]
        [--tags JSON] [--prompts safe|harmful] [--longest CHARACTERS] [--rows N] [--order-seed S] [--unreadable SHARE]
        [--without BENCHMARK.parquet...] [--learnt ROWS.parquet...]
        --out ROWS.parquet [--out-counts F.json]

With `--unreadable`, this share of the rows may be left out; a pool also drops repeats and rows without a response.
With `--without`, rows that hold a benchmark's prompt are dropped too. The counts add up to the file's rows.
With `--learnt`, rows that ask what these rows of an aligned start ask are left out.
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.categories import number
from ballast.data import held_out, leaks, reading
from ballast.data.absent import present
from ballast.data.rows import LEAKED, PAIR, count, leaving_out, said, usable, with_ids
from ballast.files import BallastError, write_json


def main(arguments: argparse.Namespace) -> None:
    given = {name: json.loads(getattr(arguments, name)) for name in ("columns", "where", "tags")}
    unreadable = arguments.unreadable or 0
    whole = reading.read(arguments.source, arguments.format, **given, unreadable=unreadable, prompts=arguments.prompts)
    if arguments.kind == "benchmark":
        asked = whole["prompt"].map(present).str.strip() != ""
        whole = leaving_out(whole[asked].reset_index(drop=True), "without a prompt", int((~asked).sum()))
    aside = {LEAKED: leaked(whole, arguments.without)} if arguments.without else {}
    if arguments.learnt:
        aside[held_out.REASON] = held_out.known(whole, arguments.learnt)
    tidy = arguments.unreadable is not None and arguments.kind == "pool"
    used, left_out = usable(whole, tidy, aside, arguments.rows, arguments.order_seed, arguments.longest)
    table, counts = used.reset_index(drop=True), count(whole, left_out, len(used))
    if table.empty:
        raise BallastError(f"{arguments.source}: no rows are left: {said(counts)}")
    if arguments.kind == "benchmark":
        table = with_ids(table, ("prompt",), arguments.source)
        schema = schemas.BENCHMARK
        if "category" not in table:
            table["category"] = pd.NA
    else:
        # A user's fine-tuning set may repeat rows on purpose; a pool must not, or a sampler could pick a pair twice.
        table = with_ids(table, PAIR, arguments.source, repeats=arguments.kind != "pool")
        schema = schemas.REFERENCES if arguments.kind == "references" else schemas.PAIRS
    if arguments.kind == "references":
        absent = sorted(set(range(number())) - set(table["category"]))
        if absent:
            raise BallastError(f"{arguments.source}: no row has category {absent[0]} alone, so Cossim cannot score it")
    schemas.write(arguments.out, table, schema)
    if arguments.out_counts:
        write_json(arguments.out_counts, counts)
    print(f"{arguments.source}: {said(counts)}", file=sys.stderr)


def leaked(table: pd.DataFrame, benchmarks: list[str]) -> list[int]:
    """Return the positions of the rows that hold a prompt of the benchmarks."""
    prompts = pd.concat([schemas.read(path, schemas.BENCHMARK)["prompt"] for path in benchmarks])
    return leaks.find(table, prompts.tolist())["row"].tolist()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=["pool", "base", "references", "benchmark"])
    parser.add_argument("--format", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--columns", default="{}")
    parser.add_argument("--where", default="{}")
    parser.add_argument("--tags", default="[]")
    parser.add_argument("--prompts", choices=["safe", "harmful"])
    parser.add_argument("--longest", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--order-seed", type=int)
    parser.add_argument("--unreadable", type=float)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--learnt", nargs="*", default=[])
    parser.add_argument("--out", required=True)
    parser.add_argument("--out-counts")
    main(parser.parse_args())
