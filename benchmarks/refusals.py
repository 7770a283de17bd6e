"""Measure the refusal rule against people: `python benchmarks/refusals.py FOLDER`, a folder of XSTest's label files.

It prints one line per file, label and rule: accuracy, precision and recall against the final label, strictly (full
refusals) and with partial refusals, of Ballast's rule and of the file's own grader (XSTest's string rule or GPT-4).
With `--pool ROWS.json`, a list of rows with `output`, it also prints how many of them are refusals by the rule. Files
of two graders hold the same completions.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast.data.refusal_words import is_refusal

FULL, PARTIAL = "2_full_refusal", "3_partial_refusal"
PEOPLE = {"full": [FULL], "full or partial": [FULL, PARTIAL]}


def agreement(said: pd.Series, people: pd.Series) -> dict[str, float]:
    """Return accuracy, precision and recall of a rule's booleans against people's."""
    both = (said & people).sum()
    return {"accuracy": (said == people).mean(), "precision": both / said.sum(), "recall": both / people.sum()}


def measured(path: Path) -> list[dict]:
    """Return one row per label and rule of a file with completion, final_label and a grader's column."""
    table = pd.read_csv(path)
    grader = next(name for name in table.columns if name in ("strmatch_label", "gpt4_label"))
    rules = {"refusal-string": table["completion"].map(is_refusal), grader: table[grader]}
    return [
        {"file": path.stem, "refusals": name, "rule": rule}
        | agreement(said if said.dtype == bool else said.isin(labels), table["final_label"].isin(labels))
        for name, labels in PEOPLE.items()
        for rule, said in rules.items()
    ]


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pool", type=Path)
    given = parser.parse_args(arguments)
    table = pd.DataFrame([row for path in sorted(given.folder.glob("*.csv")) for row in measured(path)])
    if table.empty:
        sys.exit(f"{given.folder}: no CSV file here; give the folder of XSTest's labels")
    print(table.round(3).to_string(index=False))
    if given.pool:
        rows = json.loads(given.pool.read_text(encoding="utf-8"))
        print(f"{given.pool.name}: {sum(is_refusal(row['output']) for row in rows)} of {len(rows)} rows are refusals")
    return table


if __name__ == "__main__":
    main()
