"""The references of two tasks, compared by known choices, and what is refused in one line."""

import pandas as pd
import pytest

from ballast import cli
from ballast.files import BallastError, write_parquet
from ballast.results import references

POOL = "abcdefghij"


def study(folder, runs: dict[str, str], pool: str = POOL, refreshes: int = 2):
    """A study whose runs chose these references at their last refresh, and all others before it."""
    for run, chosen in runs.items():
        rows = []
        for step in range(refreshes):
            kept = set(chosen) if step == refreshes - 1 else set(pool) - set(chosen)
            rows += [{"step": step, "kind": "reference", "id": one, "kept": one in kept} for one in pool]
            rows.append({"step": 99, "kind": "task", "id": "z", "kept": True})
        write_parquet(folder / f"runs/{run}/selection.parquet", pd.DataFrame(rows))
    return folder


def shown(table: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {first: rest for first, *rest in rows}


def test_tasks_differ_more_than_seeds(tmp_path):
    one = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd", "m/p/d/n4/t1": "abce"})
    other = study(tmp_path / "other", {"m/p/d/n4/t0": "cdgh", "m/p/d/n4/t1": "fghi", "m/p/x/n4/t0": "abcd"})
    assert shown(references.report(one, other)) == {
        "two tasks, one seed": ["2", "25.0 %", "0.0 %", "50.0 %"],
        "two seeds, one task: one": ["1", "75.0 %", "75.0 %", "75.0 %"],
        "two seeds, one task: other": ["1", "50.0 %", "50.0 %", "50.0 %"],
        "choices at random": ["2", "40.0 %", "40.0 %", "40.0 %"],
    }


def test_another_trainers_record_is_no_choice(tmp_path):
    folder = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd"})
    write_parquet(folder / "runs/m/p/adaptive/n4/t0/selection.parquet", pd.DataFrame({"round": [1], "id": ["a"]}))
    assert [choice.run for choice in references.choices(folder)] == ["m/p/d/n4"]


@pytest.mark.parametrize(
    ("runs", "pool", "line"),
    [
        ({}, POOL, "no run here chose references"),
        ({"m/p/d/n4/t7": "abcd"}, POOL, "no run of one name chose references in both"),
        ({"m/p/d/n4/t0": "abcd"}, "abcdefghik", "m/p/d/n4/t0: 2 references are in one study alone"),
    ],
)
def test_studies_that_cannot_be_compared_are_refused(tmp_path, capsys, runs, pool, line):
    one = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd"})
    other = study(tmp_path / "other", runs, pool)
    with pytest.raises(BallastError, match=line):
        references.report(one, other)
    assert cli.main(["references", str(one), str(other)]) == 1
    assert capsys.readouterr().err.startswith("ballast: ")
