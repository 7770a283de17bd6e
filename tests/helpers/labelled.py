"""Labelled pools and sheets of them, for the tests of annotation and of agreement."""

import csv
import io
import runpy
import sys
from pathlib import Path

import pandas as pd

import ballast
from ballast import schemas
from ballast.data.rows import PAIR, with_ids
from ballast.labels.annotation import COLUMNS

SCRIPTS = Path(ballast.__file__).parents[1]


def pool_of(texts):
    rows = pd.DataFrame([(text, "", f"answer to {text}") for text in texts], columns=list(PAIR))
    return with_ids(rows, PAIR, "made", repeats=True)


def labels_of(pool, categories, status=None, labeller="llm"):
    table = pd.DataFrame({"id": pool["id"], "categories": [list(row) for row in categories]})
    return table.assign(status=status or ["parsed"] * len(pool), labeller=labeller)


def behaviours_of(pool, kinds, reasons=None):
    return pd.DataFrame({"id": pool["id"], "behaviour": kinds, "reason": reasons or "", "judge": "wildguard"})


def labelled_pool():
    """280 rows, 20 a first category, 5 of them of each behaviour; but category 13 has 3 rows, and 17 rows have none."""
    pool = pool_of([f"request {number}" for number in range(280)])
    categories = [(number % 14, (number + 1) % 14) if number % 3 else (number % 14,) for number in range(280)]
    categories = [() if row[0] == 13 and number > 42 else row for number, row in enumerate(categories)]
    kinds = [f"T{number // 14 % 4 + 1}" for number in range(280)]
    return pool, labels_of(pool, categories), behaviours_of(pool, kinds)


def write_filled(path, rows, separator=",", columns=COLUMNS):
    """A filled sheet as a spreadsheet program saves it: `rows` are dicts by column."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, columns, delimiter=separator, restval="")
        sheet.writeheader()
        sheet.writerows(rows)
    return path


def sheet_rows(path):
    return list(csv.DictReader(io.StringIO(Path(path).read_bytes().decode("utf-8-sig"), newline="")))


def run(stage, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [stage, *map(str, arguments)])
    runpy.run_path(str(SCRIPTS / f"{stage}.py"), run_name="__main__")


def labelled_files(folder, pool, categories, behaviours):
    schemas.write(folder / "pool.parquet", pool, schemas.PAIRS)
    schemas.write(folder / "category.parquet", categories, schemas.CATEGORIES)
    schemas.write(folder / "behaviour.parquet", behaviours, schemas.BEHAVIOUR)
    return [f"--{name}={folder / name}.parquet" for name in ("pool", "category", "behaviour")]


def make_sheet(folder, monkeypatch, pool, categories, behaviours, rows=75, seed=0):
    folder.mkdir(exist_ok=True)
    files = labelled_files(folder, pool, categories, behaviours)
    out = [f"--out-sheet={folder / 'sheet.csv'}", f"--out-guide={folder / 'guide.txt'}"]
    run("pool_sheet", monkeypatch, *files, "--rows", rows, "--seed", seed, *out)
    return folder / "sheet.csv"
