"""What a reader sees of figures, at the paper's seven n: every n, no false interval, true legends, nothing cut."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from helpers import edits
from helpers.drawn import BENCHMARKS, N, draw, everything, panels, small_print, titles, write_scores
from helpers.published import SIZES, TABLES
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import same_color
from matplotlib.transforms import Bbox

from ballast import schemas
from ballast.names import NONE
from ballast.published import figures as published
from ballast.published import tables
from ballast.results import style
from ballast.results.paper_figures import REFERENCE_LINES
from ballast.study import config
from ballast.study.job_inputs import JobInputs
from ballast.study.plan import Plan

ALONE = ("cossim", "pss", "cossim-b", "pss-b")
OVER_N = (3, 4, 6, 7, "budget")


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """The paper's grid: seven n, and one run of deterministic samplers."""
    values = everything(0.02, SIZES, ALONE)
    values |= {cell: [value + 0.2 for value in runs] for cell, runs in values.items() if cell[1] == "random"}
    return write_scores(tmp_path_factory.mktemp("paper") / "s", values, BENCHMARKS)


def drawn_of(figure, paths):
    drawn = draw(figure, paths, n=[50] if figure == 2 else list(SIZES))
    style.fix_layout(drawn.figure)
    drawn.figure.draw_without_rendering()
    return drawn


def texts_of(figure):
    found = [text for part in figure.subfigs for text in [*part.texts, part._supxlabel, part._supylabel] if text]
    for part in figure.subfigs:
        found += [text for legend in part.legends for text in legend.get_texts()]
    for axis in figure.get_axes():
        (left, right), (low, high) = axis.get_xlim(), sorted(axis.get_ylim())
        shown = [label for label in axis.get_xticklabels() if left <= label.get_position()[0] <= right]
        shown += [label for label in axis.get_yticklabels() if low <= label.get_position()[1] <= high]
        found += [*shown, *axis.texts, axis._left_title]
    return [text for text in found if text.get_text() and text.get_visible()]


def bars(axis):
    return [one for one in axis.collections if isinstance(one, LineCollection)]


def bands(axis):
    return [one for one in axis.collections if isinstance(one, PolyCollection) and one.get_alpha() == 0.18]


def markers(axis):
    return [line for line in axis.lines if line.get_marker() not in ("None", "", "|", "_")]


def level_of(axis):
    """Return where the dashed line of base data alone lies."""
    (line,) = [one for one in axis.lines if one._unscaled_dash_pattern[1] == REFERENCE_LINES[NONE][1]]
    return line.get_ydata()[0]


def printed_figures():
    cells = tables.read(TABLES)
    return [published.draw(name, cells) for name in published.TABLES]


@pytest.mark.parametrize("figure", OVER_N)
def test_every_n_is_labelled_and_apart(paper, figure):
    drawn = drawn_of(figure, paper)
    for axis in panels(drawn):
        labels = axis.get_xticklabels()
        assert [int(label.get_text()) for label in labels] == list(SIZES)
        assert [10 ** label.get_position()[0] for label in labels] == pytest.approx(SIZES)
        boxes = [_last_line(label) for label in labels]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def _last_line(label):
    """Return the place of a label's number without the empty lines above it."""
    box, lines = label.get_window_extent(), 1 + label.get_text().count("\n")
    return Bbox([[box.x0, box.y0], [box.x1, box.y0 + box.height / lines]])


@pytest.mark.parametrize("figure", [*OVER_N, 2, "frontier", "categories"])
def test_no_text_is_cut(paper, figure):
    drawn = drawn_of(figure, paper)
    whole = drawn.figure.bbox
    for text in texts_of(drawn.figure):
        box = text.get_window_extent()
        inside = box.x0 >= whole.x0 and box.x1 <= whole.x1 and box.y0 >= whole.y0 and box.y1 <= whole.y1
        assert inside, text.get_text()


@pytest.mark.parametrize("figure", [3, 4, 6, "budget"])
def test_one_run_is_hollow_and_has_no_band(paper, figure):
    drawn = drawn_of(figure, paper)
    for axis, title in zip(panels(drawn), titles(drawn), strict=True):
        color, alone = style.hue(title.lower()), title.lower() in ALONE
        ours = [band for band in bands(axis) if same_color(band.get_facecolor()[0][:3], color) and title != "Random"]
        hollow = [line for line in markers(axis) if line.get_markerfacecolor() == "white"]
        assert bool(hollow) == alone
        assert not alone or not any(len(band.get_paths()) for band in ours)
        if figure == "budget" and alone:
            assert all(bar.get_linestyle()[0][1] is not None for bar in bars(axis)), "dotted"
        shaded = [area for area in axis.collections if area.get_label() == "lower than Random"]
        assert all(bool(area.get_hatch()) == alone for area in shaded)
    assert "ollow markers: one run" in small_print(drawn)


def test_a_bar_reaches_from_the_low_end_to_the_high_end():
    with style.styled():
        axis = style.canvas(1, 1.0, []).panels[0]
        style.whiskers(axis, [1, 2, 3], [0.0, 5.0, np.nan], [30.0, 6.0, 1.0], [False, True, False], style.BLUE)
    several, alone = bars(axis)
    assert several.get_segments()[0].tolist() == [[1, 0], [1, 30]] and len(several.get_segments()) == 1
    assert alone.get_segments()[0].tolist() == [[2, 5], [2, 6]] and alone.get_linestyle()[0][1] is not None


def test_bars_of_figure_7_lie_beside_each_other(tmp_path):
    values = {(pool, "random", n): [0.4, 0.5, 0.6] for pool in ("refusals", "safe", "third") for n in SIZES}
    drawn = draw(7, write_scores(tmp_path / "s", values, ["asr"]), pools=["refusals", "safe", "third"], n=list(SIZES))
    style.fix_layout(drawn.figure)
    (axis,) = panels(drawn)
    spans = []
    for line in markers(axis):
        width = line.get_markersize() / 72 * drawn.figure.dpi / 2
        spans += [(x - width, x + width) for x, _ in axis.transData.transform(line.get_xydata())]
    assert len(spans) == 3 * len(SIZES)
    assert not any(a < d and c < b for (a, b), (c, d) in combinations(spans, 2))
    assert np.mean([line.get_xdata() for line in markers(axis)], axis=0) == pytest.approx(np.log10(SIZES))


@pytest.mark.parametrize("figure", [3, 4, 7])
def test_no_safety_data_is_a_line_with_its_label(paper, figure):
    drawn = draw(figure, paper, n=list(SIZES))
    for axis in panels(drawn):
        assert level_of(axis) == pytest.approx(0.85 if figure == 3 else 85)
    labels = [text.get_text() for legend in drawn.figure.subfigs[0].legends for text in legend.get_texts()]
    assert "No safety data" in labels


def test_figure_7_shows_base_data_alone_that_another_pool_trained(tmp_path):
    values = {("refusals", "random", n): [0.1, 0.2] for n in N} | {("safe", "random", n): [0.5, 0.6] for n in N}
    values |= {("p", "none", 0): [0.9, 0.8]}
    drawn = draw(7, write_scores(tmp_path / "s", values, ["asr"]), pools=["refusals", "safe"])
    assert level_of(panels(drawn)[0]) == pytest.approx(85)


def test_mini_gathers_base_data_alone_for_figure_7_once():
    study = config.load(config.read(edits.ROOT / "config/mini.yaml"))
    plan = JobInputs(Plan(study)).plan
    alone = [run for run in plan.gathered("scores/rewriting/asr") if "/none/" in run]
    assert alone == [run for run in plan.gathered("scores/sampling/asr") if "/none/" in run] and alone
    assert not any("refusals" in run for run in plan.gathered("scores/sampling/asr"))


@pytest.mark.parametrize("figure", [*OVER_N, 2])
def test_axes_start_at_the_low_end_of_the_scale(paper, figure):
    for axis in panels(drawn_of(figure, paper))[:1]:
        low, high = axis.get_ylim()
        assert -0.1 * high < low <= 0


@pytest.mark.parametrize(("figure", "limits"), [(2, "get_ylim"), ("frontier", "get_xlim")])
def test_the_axis_of_helpfulness_does_not_enlarge_noise(tmp_path, figure, limits):
    values = {("p", "t1", 50): [1.0, 1.001], ("p", "random", 50): [1.002, 1.0]}
    paths = write_scores(tmp_path / "s", values, ["harm", "helpfulness"])
    scores = pd.read_parquet(paths[0])
    wide = np.where(scores["prompt_id"] == "prompt-0", 0.5, -0.5)  # prompts differ far more than runs
    schemas.write(
        paths[0], scores.assign(score=scores["score"] + wide * (scores["judge"] == "helpful-rm")), schemas.SCORES
    )
    drawn = draw(figure, paths, samplers=["t1", "random"], n=[50])
    low, high = getattr(panels(drawn)[-1], limits)()
    assert high - low >= 0.5 and "Helpfulness axis: at least one SD" in small_print(drawn)


@pytest.mark.slow
def test_legends_have_the_drawn_colours_and_markers(paper):
    for figure in (*OVER_N, 2):
        _legend_is_true(drawn_of(figure, paper).figure)
    for figure in printed_figures():
        _legend_is_true(figure)


def _legend_is_true(figure):
    lines = {(line.get_color(), line.get_marker()) for axis in figure.get_axes() for line in axis.lines}
    areas = [area for axis in figure.get_axes() for area in axis.collections if area.get_label() == "lower than Random"]
    painted = {(tuple(area.get_facecolor().ravel()), area.get_hatch()) for area in areas if len(area.get_paths())}
    (legend,) = figure.subfigs[0].legends
    for handle in legend.legend_handles:
        if hasattr(handle, "get_marker"):
            assert (handle.get_color(), handle.get_marker()) in lines
        else:
            face = () if handle.get_hatch() else handle.get_facecolor()
            assert (tuple(face), handle.get_hatch()) in painted and handle.get_alpha() in (None, 0.4)


@pytest.mark.parametrize("figure", [2, *OVER_N, "frontier"])
def test_no_panel_is_empty(tmp_path, figure):
    values = {("p", name, n): [0.4, 0.5] for name in ("random", "sss", "pss", "sss-b", "t1", "pss-b") for n in N}
    paths = write_scores(tmp_path / "s", values, ["harm", "asr", "over_refusal"])
    named = ["random", "sss", "pss", "cossim", "sss-b", "t1", "t2", "pss-b"]
    drawn = draw(figure, paths, samplers=named, n=[10] if figure == 2 else N)
    assert panels(drawn) and all(axis.has_data() and axis.axison for axis in panels(drawn))
    if figure == 2:
        (axis,) = panels(drawn)
        assert len(axis.get_xticklabels()) == 6, "t2 and cossim have no run, so no place"


def test_nothing_to_draw_is_one_line(tmp_path):
    drawn = draw("frontier", write_scores(tmp_path / "s", everything()))
    assert not panels(drawn) and drawn.figure.subfigs[0].texts[0].get_text().startswith("No sampler has over-refusal")


def test_the_papers_tables_are_drawn_as_a_studys_scores(tmp_path):
    harm, asr = printed_figures()
    assert [axis.get_title(loc="left") for axis in harm.get_axes()] == ["Cossim-B", "SSS-B", "PSS-B"]
    assert len(asr.get_axes()) == 6
    axis = harm.get_axes()[1]
    lines = {line.get_color(): list(line.get_ydata()) for line in markers(axis)}
    assert lines[style.hue("sss-b")][:4] == [2.07, 1.59, 1.19, 0.8] and lines[style.hue("random")][-1] == 0.57
    assert bars(axis)[0].get_segments()[1][:, 1].tolist() == pytest.approx([1.59 - 0.13, 1.59 + 0.13])
    assert level_of(axis) == 2.37
