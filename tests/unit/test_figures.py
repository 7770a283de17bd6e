"""Figures 2-7: the right panels and lines, shading only below Random, stable bytes, and whatever is there is drawn."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.drawn import BENCHMARKS, PAPER, STUDY, N, draw, everything, panels, small_print, titles, write_scores

import ballast
from ballast import schemas
from ballast.figures import frontier
from ballast.files import BallastError
from ballast.results import style
from ballast.results.paper_figures import BETTER

SCRIPTS = Path(ballast.__file__).parents[1]


def shades(axis):
    return [area for area in axis.collections if area.get_label() == BETTER]


def test_figure_3_shows_the_behavioural_samplers_against_random(tmp_path):
    drawn = draw(3, write_scores(tmp_path / "s", everything()))
    assert titles(drawn) == ["Random-B", "Cossim-B", "SSS-B", "PSS-B"]
    random = [0.1 + 0.8 - 0.2 * np.log10(n) for n in N]
    for axis in panels(drawn):
        line = next(line for line in axis.lines if line.get_marker() == "o")
        assert list(line.get_xdata()) == [1, 2, 3] and list(line.get_ydata()) == pytest.approx(random)
    assert set(drawn.data["sampler"]) == {"as-is", "none", "random", "random-b", "cossim-b", "sss-b", "pss-b"}
    assert "95 % interval over 3 trials" in small_print(drawn) and "synthetic study" in small_print(drawn)


def test_figure_4_shows_every_sampler_against_random_in_percent(tmp_path):
    drawn = draw(4, write_scores(tmp_path / "s", everything(), ["asr"]))
    assert titles(drawn) == ["Cossim", "SSS", "PSS", "Random-B", "Cossim-B", "SSS-B", "PSS-B"]
    assert drawn.data["mean"].max() > 1
    low, high = panels(drawn)[0].get_ylim()
    assert low > -10 and high < 110


def test_shading_is_only_below_random(tmp_path):
    # Random is level at 1; ours goes 0.5, 1.5, 0.5 and so crosses halfway between the n: at 1.5 and 2.5 on log10.
    values = {("p", "random", n): [1.0] for n in N}
    values |= {("p", "sss-b", 10): [0.5], ("p", "sss-b", 100): [1.5], ("p", "sss-b", 1000): [0.5]}
    values |= {("p", "pss-b", n): [1.2] for n in N}
    drawn = draw(3, write_scores(tmp_path / "s", values))
    ours, above = panels(drawn)
    points = np.vstack([path.vertices for area in shades(ours) for path in area.get_paths()])
    assert points[:, 1].max() <= 1.0 + 1e-9 and points[:, 1].min() == 0.5
    assert not np.any((points[:, 0] > 1.5 + 1e-9) & (points[:, 0] < 2.5 - 1e-9))
    assert {1.0, 1.5, 2.5, 3.0} <= set(points[:, 0].round(9))
    assert not any(len(area.get_paths()) for area in shades(above))


def test_figure_6_has_four_panels_and_the_levels_of_the_references(tmp_path):
    drawn = draw(6, write_scores(tmp_path / "s", everything(), ["over_refusal"]))
    assert titles(drawn) == ["Random", "PSS-B", "SSS-B", "Cossim-B"]
    for axis in panels(drawn):
        levels = [line.get_ydata()[0] for line in axis.lines if len(set(line.get_ydata())) == 1]
        assert sorted(levels) == pytest.approx([30, 85])
    assert set(drawn.data["sampler"]) == {"as-is", "none", "random", "pss-b", "sss-b", "cossim-b"}


def test_figure_7_sets_one_pool_against_the_other(tmp_path):
    values = {("refusals", "random", n): [0.1, 0.2] for n in N} | {("safe", "random", n): [0.5, 0.6] for n in N}
    values |= {("safe", "sss", 10): [0.0], ("safe", "none", 0): [0.9]}
    drawn = draw(7, write_scores(tmp_path / "s", values, ["asr"]), pools=["refusals", "safe"], samplers=["random"])
    lines = {line.get_label(): list(line.get_ydata()) for line in panels(drawn)[0].lines}
    assert lines["Random augmented T1"] == pytest.approx([15] * 3)
    assert lines["Random (baseline)"] == pytest.approx([55] * 3)
    assert list(drawn.data["pool"]) == ["refusals"] * 3 + ["safe"] * 4


def test_figure_2_shows_harm_and_helpfulness_of_each_behaviour(tmp_path):
    values = {("p", f"t{kind}", 50): [kind, kind + 0.5] for kind in (1, 2, 3, 4)} | {("p", "none", 0): [4.0]}
    paths = write_scores(tmp_path / "s", values, ["harm", "helpfulness"])
    drawn = draw(2, paths, samplers=["none", "t1", "t2", "t3", "t4"], n=[50])
    assert titles(drawn) == ["Harm (lower is better)", "Helpfulness (higher is better)"]
    for axis in panels(drawn):
        assert [label.get_text().split("\n")[0] for label in axis.get_xticklabels()] == ["T1", "T2", "T3", "T4"]
        means = [line.get_ydata()[0] for line in axis.lines if line.get_marker() == "o"]
        assert means == pytest.approx([1.25, 2.25, 3.25, 4.25])
    assert drawn.data.groupby("metric").size().to_dict() == {"harm": 5, "helpfulness": 5}


def test_figure_5_counts_unknown_too(tmp_path):
    kinds = ["T1"] * 5 + ["T2"] * 2 + ["T4"] + ["unknown"] * 2
    labels = pd.DataFrame({"id": [f"{row:016x}" for row in range(10)], "behaviour": kinds, "reason": "", "judge": "j"})
    schemas.write(tmp_path / "labels", labels, schemas.BEHAVIOUR)
    drawn = draw(5, [str(tmp_path / "labels")])
    assert drawn.data.to_dict("list") == {
        "behaviour": ["T1", "T2", "T3", "T4", "unknown"],
        "rows": [5, 2, 0, 1, 2],
        "percent": [50, 20, 0, 10, 20],
    }
    assert [bar.get_width() for bar in panels(drawn)[0].patches] == [5, 2, 0, 1, 2]


def test_a_sampler_has_one_colour_in_every_figure(tmp_path):
    paths = write_scores(tmp_path / "s", everything(), ["harm", "asr", "over_refusal"])
    seen = {}
    for number in (3, 4, 6):
        for axis in panels(draw(number, paths)):
            colour = next(line.get_color() for line in reversed(axis.lines) if line.get_linestyle() == "-")
            seen.setdefault(axis.get_title(loc="left"), set()).add(colour)
    assert all(len(colours) == 1 for colours in seen.values())
    assert seen["SSS"] == seen["SSS-B"] and len({*seen["SSS"], *seen["PSS"], *seen["Cossim"], *seen["Random-B"]}) == 4


@pytest.mark.parametrize("number", [3, 4, 6, 7])
@pytest.mark.parametrize(
    "values",
    [
        {("p", "random", 10): [0.5]},
        {("p", "random", 10): [0.5, 0.7], ("p", "sss-b", 100): [0.1]},
        {("p", "random", n): [0.5] for n in N} | {("p", "pss-b", 10): [0.4]},
    ],
)
def test_what_is_there_is_drawn(tmp_path, number, values):
    paths = write_scores(tmp_path / "s", values, ["harm", "asr", "over_refusal"])
    drawn = draw(number, paths)
    style.save(drawn.figure, tmp_path / "figure.png", "png")
    assert (tmp_path / "figure.png").stat().st_size > 1000 and not drawn.data.empty


def test_figure_6_of_other_samplers_shows_these(tmp_path):
    values = {("p", "random-b", n): [0.4, 0.5] for n in N}
    drawn = draw(6, write_scores(tmp_path / "s", values, ["over_refusal"]), samplers=["random-b"])
    assert set(drawn.data["sampler"]) == {"random-b"}


def test_a_figure_without_random_has_lines_and_no_shade(tmp_path):
    drawn = draw(3, write_scores(tmp_path / "s", {("p", "sss-b", n): [0.4, 0.5] for n in N}))
    (axis,) = panels(drawn)
    assert not any(len(area.get_paths()) for area in shades(axis))
    assert list(axis.lines[-1].get_ydata()) == pytest.approx([0.45] * 3)


def test_figure_2_without_helpfulness_still_shows_harm(tmp_path):
    drawn = draw(2, write_scores(tmp_path / "s", {("p", "t1", 50): [1.0]}), samplers=["t1", "t2"], n=[50])
    style.save(drawn.figure, tmp_path / "figure.svg", "svg")
    assert list(drawn.data["metric"]) == ["harm"]


def test_frontier_rings_what_no_other_point_beats(tmp_path):
    harm = {("p", "random", 10): [2.0] * 2, ("p", "sss-b", 10): [1.0] * 2, ("p", "pss-b", 10): [1.5] * 2}
    cost = {("p", "random", 10): [0.1] * 2, ("p", "sss-b", 10): [0.2] * 2, ("p", "pss-b", 10): [0.3] * 2}
    parts = [pd.read_parquet(write_scores(tmp_path / "h", harm)[0])]
    parts += [
        pd.read_parquet(write_scores(tmp_path / name, cost, [name])[0]) for name in ("over_refusal", "helpfulness")
    ]
    schemas.write(tmp_path / "s", pd.concat(parts, ignore_index=True), schemas.SCORES)
    drawn = draw("frontier", [str(tmp_path / "s")], n=[10])
    assert titles(drawn) == ["Harm against over-refusal", "Harm against helpfulness"]
    rings = drawn.data[drawn.data["optimal"]].groupby("cost")["sampler"].agg(set).to_dict()
    # PSS-B is worse than SSS-B in both, but it is the most helpful; Random is beaten where more is better.
    assert rings == {"over_refusal": {"random", "sss-b"}, "helpfulness": {"sss-b", "pss-b"}}
    names = {text.get_text(): text.get_color() for text in panels(drawn)[0].texts}
    assert names == {name: style.hue(name.lower()) for name in ("Random", "SSS-B", "PSS-B")}


def test_equal_points_are_both_on_the_frontier():
    harm, cost = pd.Series([1.0, 1.0, 1.0]), pd.Series([5.0, 5.0, 6.0])
    assert frontier.optimal(harm, cost, "lower").tolist() == [True, True, False]
    assert frontier.optimal(harm, cost, "higher").tolist() == [False, False, True]


def test_names_on_the_frontier_do_not_touch(tmp_path):
    drawn = draw("frontier", write_scores(tmp_path / "s", everything(), ["harm", "over_refusal"]))
    heights = sorted(text.xyann[1] for text in panels(drawn)[0].texts)
    low, high = panels(drawn)[0].get_ylim()
    assert len(heights) == len(PAPER) and min(np.diff(heights)) > 0.05 * (high - low)


def test_budget_has_a_panel_a_sampler_with_two_way_bands_and_random_behind(tmp_path):
    drawn = draw("budget", write_scores(tmp_path / "s", everything()))
    assert titles(drawn) == ["Cossim", "SSS", "PSS", "Random-B", "Cossim-B", "SSS-B", "PSS-B"]
    for axis in panels(drawn):
        assert [line.get_color() for line in axis.lines if line.get_marker() in "os"][0] == style.hue("random")
        band = drawn.data[drawn.data["sampler"] == "random"]
        edge = axis.collections[0].get_paths()[0].vertices[:, 1]
        assert edge.max() == pytest.approx(band["high_two_way"].max(), abs=1e-5)
    assert "two-way bootstrap over runs and prompts" in small_print(drawn)


def test_heat_map_frames_the_worst_category_of_a_sampler(tmp_path):
    paths = write_scores(tmp_path / "s", everything())
    scores = pd.read_parquet(paths[0])
    schemas.write(paths[0], scores.assign(score=scores["score"] + (scores["category"] == 1)), schemas.SCORES)
    drawn = draw("categories", paths)
    (axis,) = panels(drawn)
    assert len(axis.patches) == len(PAPER) and {round(patch.get_x() + 0.46) for patch in axis.patches} == {1}
    assert "n = 100" in small_print(drawn) and set(drawn.data["n"]) == {0, 100}
    assert {text.get_text() for text in axis.texts} == {f"{value:.1f}" for value in drawn.data["mean"]}


def test_a_heat_map_without_categories_says_so(tmp_path):
    paths = write_scores(tmp_path / "s", everything())
    schemas.write(
        paths[0],
        pd.read_parquet(paths[0]).assign(category=pd.array([None], "Int8")[0]).astype({"category": "Int8"}),
        schemas.SCORES,
    )
    assert "No prompt" in draw("categories", paths).figure.subfigs[0].texts[0].get_text()


@pytest.mark.parametrize("name", ["frontier", "budget", "categories"])
@pytest.mark.parametrize(
    "values", [{("p", "random", 10): [0.5]}, {("p", "sss", 10): [0.5, 0.6], ("p", "sss-b", 100): [0.1]}]
)
def test_what_is_there_is_drawn_beyond_the_paper_too(tmp_path, name, values):
    drawn = draw(name, write_scores(tmp_path / "s", values))
    style.save(drawn.figure, tmp_path / "first.svg", "svg")
    style.save(draw(name, [str(tmp_path / "s")]).figure, tmp_path / "second.svg", "svg")
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()
    with pytest.raises(BallastError, match="has a score"):
        draw(name, write_scores(tmp_path / "none", {("p", "none", 0): [0.5]}))


@pytest.mark.parametrize("number", [2, 3, 4, 6, 7])
def test_nothing_to_draw_is_an_error(tmp_path, number):
    paths = write_scores(tmp_path / "s", {("p", "none", 0): [0.5]}, BENCHMARKS)
    with pytest.raises(BallastError, match=f"no run of figure {number}'s experiment"):
        draw(number, paths, n=[50])


def test_script_writes_the_same_bytes_twice(tmp_path, monkeypatch):
    scores = write_scores(tmp_path / "s", everything())[0]
    for attempt in ("first", "second"):
        outputs = [f"--out-{kind}={tmp_path / attempt / 'figure'}.{kind}" for kind in ("pdf", "svg", "png", "csv")]
        given = ["--name", "figure3", "--options", json.dumps(STUDY), "--inputs", scores, *outputs]
        monkeypatch.setattr(sys, "argv", ["figure.py", *given])
        runpy.run_path(str(SCRIPTS / "figure.py"), run_name="__main__")
    for kind, start in (("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG"), ("csv", b"sampler,n,mean")):
        first = (tmp_path / "first" / f"figure.{kind}").read_bytes()
        assert first.startswith(start) and first == (tmp_path / "second" / f"figure.{kind}").read_bytes()
        assert b"CreationDate" not in first and b"<dc:date>" not in first
