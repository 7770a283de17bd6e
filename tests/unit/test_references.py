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
            rows += [{"step": step, "kind": "reference", "id": one, "weight": float(one in kept)} for one in pool]
            rows.append({"step": 99, "kind": "task", "id": "z", "weight": 1.0})
        write_parquet(folder / f"runs/{run}/selection.parquet", pd.DataFrame(rows))
    return folder


def shown(table: str) -> dict[str, list[str]]:
    lines = [line for line in table.splitlines()[2:] if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in rows}


def test_tasks_differ_more_than_seeds(tmp_path):
    one = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd", "m/p/d/n4/t1": "abce"})
    other = study(tmp_path / "other", {"m/p/d/n4/t0": "cdgh", "m/p/d/n4/t1": "fghi", "m/p/x/n4/t0": "abcd"})
    found = shown(references.report(one, other))
    shuffled = found.pop("shuffled choices")
    assert found == {
        "two tasks, one seed": ["2", "25.0 %", "0.0 %", "50.0 %"],
        "two seeds, one task: one": ["1", "75.0 %", "75.0 %", "75.0 %"],
        "two seeds, one task: other": ["1", "50.0 %", "50.0 %", "50.0 %"],
    }
    assert 35 < float(shuffled[1].removesuffix(" %")) < 45, "four of ten"


def test_soft_choices_overlap_by_the_weight_that_both_give():
    one, other = (
        references.Choice("m/p/d/n4", "t0", pd.Series(weights, ["a", "b", "c"]))
        for weights in ([6.0, 3.0, 1.0], [0.1, 0.3, 0.6])
    )
    assert references.overlap(one, other) == pytest.approx(0.1 + 0.3 + 0.1)


def test_a_reference_of_one_task_alone_is_not_compared_and_counted(tmp_path):
    one = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd"})
    other = study(tmp_path / "other", {"m/p/d/n4/t0": "bcdi"}, pool=POOL[1:])
    table = references.report(one, other)
    assert shown(table)["two tasks, one seed"][1] == "75.0 %"
    assert "1 references at most are in one task alone" in table


def test_another_trainers_record_is_no_choice(tmp_path):
    folder = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd"})
    write_parquet(folder / "runs/m/p/adaptive/n4/t0/selection.parquet", pd.DataFrame({"round": [1], "id": ["a"]}))
    assert [choice.run for choice in references.choices(folder)] == ["m/p/d/n4"]


@pytest.mark.parametrize(
    ("runs", "pool", "line"),
    [
        ({}, POOL, "no run here chose references"),
        ({"m/p/d/n4/t7": "abcd"}, POOL, "no run of one name chose references in both"),
        ({"m/p/d/n4/t0": "abcd"}, "abcdklmnop", "m/p/d/n4/t0: 12 of 16 references are in one study alone"),
    ],
)
def test_studies_that_cannot_be_compared_are_refused(tmp_path, capsys, runs, pool, line):
    one = study(tmp_path / "one", {"m/p/d/n4/t0": "abcd"})
    other = study(tmp_path / "other", runs, pool)
    with pytest.raises(BallastError, match=line):
        references.report(one, other)
    assert cli.main(["references", str(one), str(other)]) == 1
    assert capsys.readouterr().err.startswith("ballast: ")
