"""The size of the base data as an axis: which runs there are, which rows they keep, and the table."""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.drawn import N, draw, panels, small_print, titles, write_scores
from test_beyond import scores_of

import ballast
from ballast.files import BallastError
from ballast.filters import random as random_share
from ballast.markup import to_markdown
from ballast.study import config
from ballast.study.artefacts import parse_options
from ballast.study.plan import Plan
from ballast.tables import base_size

ROOT = Path(ballast.__file__).parents[2]
LEVELS = {"random": 2.0, "random-base25": 1.0, "sss-b": 1.6, "sss-b-base25": 0.8}
GRID = {"models": ["llama"], "pools": ["safety"], "samplers": ["none", "sss-b"], "n": [10], "trials": 2}


def study(**changes):
    raw = config.read(ROOT / "config/mini.yaml")
    grid = GRID | {"base_percent": [25, 100]} | changes
    return config.load(raw | {"experiments": {"base_size": grid}})


def test_each_sampler_trains_on_each_share():
    found = study()
    assert {(run.sampler, run.n) for run in Plan(found).trained} == {
        ("none", 0),
        ("none-base25", 0),
        ("sss-b", 10),
        ("sss-b-base25", 10),
    }
    assert found.method("sss-b-base25").options("filter") == {"keep": 0.25}
    assert found.method("sss-b-base25").picker == "sss-b", "the subset is that of all base data"
    again = config.load(found.model_dump(exclude_none=True, exclude_defaults=True))
    assert Plan(again).trained == Plan(found).trained, "the printed config is the same study"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"base_percent": [0]}, "base_percent"),
        ({"base_percent": [101]}, "base_percent"),
        ({"base_percent": [50]}, "base_percent"),
        ({"samplers": ["sss-c"]}, "no sampler is called 'sss-c'"),
    ],
)
def test_a_mistake_is_named(changes, said):
    with pytest.raises(BallastError, match=said):
        study(**changes)


def test_a_smaller_share_is_a_part_of_a_larger_one():
    base = pd.DataFrame({"id": [f"{row:02}" for row in range(40)]})
    scores = random_share.score(None, base, None, None, {}, 3)
    assert scores.equals(random_share.score(None, base[::-1], None, None, {}, 3)), "whatever the order of the rows"
    best = scores.sort_values(ascending=False).index
    assert list(best) != list(random_share.score(None, base, None, None, {}, 4).sort_values(ascending=False).index)
    assert set(best[:10]) < set(best[:20])


def test_the_table_has_a_column_per_share(tmp_path):
    levels = {"sss-b": [(1.0, 1)], "sss-b-base25": [(2.0, 1)]}
    scores_of(tmp_path / "scores.parquet", levels, sizes=[10])
    experiment = {"models": ["m"], "pools": ["p"], "samplers": ["none", *levels], "n": [10], "trials": 4}
    made = {"study": "made", "synthetic": True, "judges": {"harm": "harm-rm"}, "experiment": experiment}

    found = base_size.table(parse_options("tables/base-size", json.dumps(made)), [str(tmp_path / "scores.parquet")])
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in to_markdown(found).splitlines() if "|" in line
    ]
    assert ["Sampler", "n", "25 %", "100 %"] in lines
    row = next(line for line in lines if line[0] == "SSS-B")
    assert row[1] == "10" and row[2].startswith("2.00") and row[3].startswith("1.00")
    assert next(line for line in lines if line[0] == "No safety data")[2] == "—", "no run of it"
    assert found.data.set_index(["sampler", "percent"]).loc[("sss-b", 25), "mean"] == pytest.approx(2.0)


def test_the_figure_has_a_panel_per_sampler_and_a_line_per_share(tmp_path):
    values = {("p", name, n): [level, level + 0.1] for name, level in LEVELS.items() for n in N}
    values |= {("p", f"none{part}", 0): [level] * 2 for part, level in (("", 2.5), ("-base25", 1.5))}
    named = ["none", "none-base25", *LEVELS]
    drawn = draw("base-size", write_scores(tmp_path / "s", values), samplers=named)
    assert titles(drawn) == ["Random", "SSS-B"]
    for axis, sampler in zip(panels(drawn), ("random", "sss-b"), strict=True):
        curves = [line for line in axis.lines if line.get_marker() in ("o", "s")]
        means = [LEVELS[sampler + part] + 0.05 for part in ("-base25", "")]
        assert [line.get_ydata()[0] for line in curves] == pytest.approx(means)
        levels = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert [line.get_ydata()[0] for line in levels] == [1.5, 2.5]
        colours = [[line.get_color() for line in lines] for lines in (curves, levels)]
        assert all(tuple(ours) == tuple(level) for ours, level in zip(*colours, strict=True))
    assert set(drawn.data["percent"]) == {25, 100} and "synthetic study" in small_print(drawn)
