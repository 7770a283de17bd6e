"""Read one dataset in the schema of its source and write it in Ballast's row schema, with ids made of content.

data.py --kind pool|base|references|benchmark --format READER --source FILE [--columns JSON] [--prompts safe|harmful]
        [--longest CHARACTERS] [--rows N] [--order-seed S] [--unreadable SHARE] [--without BENCHMARK.parquet...]
        --out ROWS.parquet

With `--unreadable`, this share of the rows may be left out; a pool also drops repeats and rows without a response.
With `--without`, rows whose request is one of a benchmark's prompts are dropped too, and with `--longest` longer rows,
before `--rows` are taken.
"""

import argparse
import json
import sys

import pandas as pd

from ballast import plugins, schemas
from ballast.data import overlap
from ballast.data.rows import PAIR, content_id, pairs_to_judge, with_ids
from ballast.files import BallastError


def main(arguments: argparse.Namespace) -> None:
    table = rows(kept(arguments), arguments.rows, arguments.order_seed)
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
        absent = sorted(set(range(14)) - set(table["category"]))
        if absent:
            raise BallastError(f"{arguments.source}: no row has category {absent[0]} alone, so Cossim cannot score it")
    schemas.write(arguments.out, table, schema)


def kept(arguments: argparse.Namespace) -> pd.DataFrame:
    """Return the rows without those that may be left out, and log how many these are."""
    reader = plugins.load("readers", arguments.format)
    given = {"prompts": arguments.prompts} if arguments.prompts else {}
    if hasattr(reader, "FORM"):
        given |= {"columns": json.loads(arguments.columns), "unreadable": arguments.unreadable or 0}
    table = reader.read(arguments.source, **given)
    whole = len(table)
    if arguments.unreadable is not None and arguments.kind == "pool":
        table = table[table["output"].str.strip() != ""]
        ids = pd.Series([content_id(*row) for row in table[list(PAIR)].itertuples(index=False)], table.index)
        table = table[~ids.duplicated()]
        print(f"{whole - len(table)} repeats and rows without a response left out", file=sys.stderr)
    if arguments.without:
        prompts = pd.concat([schemas.read(path, schemas.BENCHMARK) for path in arguments.without])["prompt"]
        leaked = overlap.exact(pairs_to_judge(table)["prompt"], prompts) >= 0
        table = table[~leaked]
        print(f"{leaked.sum()} rows left out that a benchmark asks", file=sys.stderr)
    if arguments.longest:
        short = table[sorted({*PAIR, "prompt"} & {*table})].map(len).sum(axis=1) <= arguments.longest
        print(f"{(~short).sum()} rows left out that have more than {arguments.longest} characters", file=sys.stderr)
        table = table[short]
    if table.empty:
        raise BallastError(f"{arguments.source}: no rows are left of {whole}")
    return table.reset_index(drop=True)


def rows(table: pd.DataFrame, number: int | None, seed: int | None) -> pd.DataFrame:
    """Return the first `number` rows, or `number` rows drawn by the seed and the rows' own text, in file order."""
    if number is None or number >= len(table):
        return table
    if seed is None:
        return table.head(number)
    keys = [content_id(str(seed), *map(str, row)) for row in table.itertuples(index=False)]
    return table.loc[sorted(pd.Series(keys, index=table.index).sort_values().index[:number])].reset_index(drop=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=["pool", "base", "references", "benchmark"])
    parser.add_argument("--format", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--columns", default="{}")
    parser.add_argument("--prompts", choices=["safe", "harmful"])
    parser.add_argument("--longest", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--order-seed", type=int)
    parser.add_argument("--unreadable", type=float)
    parser.add_argument("--without", nargs="+", default=[])
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
