"""Export a subset for use elsewhere: its rows in the pool's own form, ids, a card, a picture.

export.py --options JSON --subset SUBSET.csv --pool ROWS.parquet --plane PLANE.parquet [--behaviour F] [--category F]
          [--source FILE] [--counts F.json] --out DIR

Below DIR: subset.jsonl, ids.csv, README.md, dataset_info.json, pool.png, pool.svg.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from ballast import plugins, schemas
from ballast.data import data_card, export
from ballast.data.rows import said
from ballast.files import BallastError, digest, read_json, read_parquet, write_csv, write_json, write_text
from ballast.results import pool_map
from ballast.results.style import save, styled


def main(arguments: argparse.Namespace) -> None:
    options, out = json.loads(arguments.options), Path(arguments.out)
    subset = pd.read_csv(arguments.subset, dtype={"id": str, "category": "Int8"})
    if subset.empty:
        raise BallastError(f"{arguments.subset}: no row is picked, so there is nothing to export")
    pairs = schemas.read(arguments.pool, schemas.PAIRS)
    plane = read_parquet(arguments.plane)
    pool = plane.merge(labels(arguments, pairs["id"]), on="id", validate="one_to_one")
    how = {name: options[name] for name in ("format", "columns", "where")}
    found = export.own_rows(pairs, subset["id"].tolist(), arguments.source, **how)
    rows = subset.rename(columns={"category": "quota"}).merge(pool, on="id", validate="one_to_one")
    records = [found.rows[row] for row in rows["id"]]
    write_text(out / "subset.jsonl", export.json_lines([record for _, record in records]))
    ids = rows.assign(row=[number for number, _ in records])
    write_csv(out / "ids.csv", ids[["rank", "id", "row", "behaviour", "category"]].astype({"category": "Int8"}))
    first = records[0][1]
    write_json(out / "dataset_info.json", export.dataset_info(options["name"], found.form, first))
    write_text(out / "README.md", data_card.text(card(arguments, options, found, first), rows, pool))
    said = [f"Study {options['study']}, pool {options['pool']}, {options['sampler']}.", *options["notes"]]
    with styled():
        figure = pool_map.draw(pool, subset["id"], (plane["explained_x"][0], plane["explained_y"][0]), said)
    for kind in ("png", "svg"):
        save(figure, out / f"pool.{kind}", kind)


def labels(arguments: argparse.Namespace, ids: pd.Series) -> pd.DataFrame:
    """Return id, behaviour and category (a row's first), missing if the pool is not labelled."""
    known = pd.DataFrame({"id": ids, "behaviour": None, "category": pd.NA})
    if arguments.behaviour:
        table = schemas.read(arguments.behaviour, schemas.BEHAVIOUR).set_index("id")
        known["behaviour"] = known["id"].map(table["behaviour"])
    if arguments.category:
        table = schemas.read(arguments.category, schemas.CATEGORIES).set_index("id")
        known["category"] = known["id"].map(table["categories"].map(lambda ids: ids[0] if len(ids) else pd.NA))
    return known


def card(arguments: argparse.Namespace, options: dict, found: export.Exported, record: dict) -> data_card.DataCard:
    rule = (plugins.load("samplers", options["plugin"]).__doc__ or options["plugin"]).strip().splitlines()[0]
    rule += f" Among {options['among']} rows alone." if options["among"] else ""
    about = [
        *options["about"],
        ("file's SHA-256", digest(arguments.source) if arguments.source else "made by the study"),
        ("subset's SHA-256", digest(arguments.subset)),
    ]
    if arguments.counts:
        about.append(("rows of the pool's file", said(read_json(arguments.counts))))
    notes = options["notes"] + data_card.remarks(found)
    texts = (options["sampler"], options["pool"], rule, options["licence"], about, notes)
    return data_card.DataCard(*texts, found.form, record)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "subset", "pool", "plane", "out"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("behaviour", "category", "source", "counts"):
        parser.add_argument(f"--{name}")
    main(parser.parse_args())
