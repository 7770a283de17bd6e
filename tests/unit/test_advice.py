"""The advice: the right cell by the right rule, said with what is known of it, and never more surely than that."""

import json
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

import ballast
from ballast import schemas
from ballast.files import BallastError
from ballast.results import style
from ballast.results.advice import LIKELY, MEETS, NO, UNMEASURED, advise, table, verdict
from ballast.results.advice_figure import draw
from ballast.results.advice_words import sentences, to_markdown
from ballast.results.statistics import PROMPTS_ONLY, TWO_WAY, Estimate
from ballast.study.artefacts import parse_options

SCRIPTS = Path(ballast.__file__).parents[1]
JUDGES = {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard", "helpfulness": "helpful-rm"}
BENCHMARKS = {"harm": "beavertails-eval", "asr": "salad-attack", "over_refusal": "xstest", "helpfulness": "i-alpaca"}
GRID = {"models": ["m"], "pools": ["p"], "samplers": ["none", "random", "sss", "sss-b"], "n": [10, 100], "trials": 3}
STUDY = {
    "study": "mini",
    "synthetic": True,
    "judges": JUDGES,
    "stand_ins": {"wildguard": "wildguard is a rule."},
    "model_labels": {"m": "Model M"},
    "experiment": GRID,
}
WOBBLE = (-0.02, 0.0, 0.02)


def options(**targets):
    return parse_options("advice", json.dumps(STUDY | {"targets": targets}))


def scores(path, **metrics):
    """scores.parquet: for each metric a value, or a list of one a trial, by (sampler, n); None is an unread answer."""
    rows = [
        {"model": "m", "pool": "p", "sampler": sampler, "n": n, "trial": trial, "benchmark": BENCHMARKS[metric]}
        | {"judge": JUDGES[metric], "prompt_id": f"prompt-{prompt}", "category": prompt}
        | {"score": None if value is None else value + 0.01 * (prompt % 2)}
        | {"answer_status": "unparsable" if value is None else "parsed", "finish_reason": "stop"}
        | {"prompt_tokens": 5, "response_tokens": 7}
        for metric, cells in metrics.items()
        for (sampler, n), given in cells.items()
        for trial, value in enumerate(given if isinstance(given, list) else [given + wobble for wobble in WOBBLE])
        for prompt in range(6)
    ]
    schemas.write(path, pd.DataFrame(rows).astype({"category": "Int8", "score": float}), schemas.SCORES)
    return str(path)


def grid(random=1.0, sss=1.0, best=0.5, **changes):
    """Harm of three samplers at n 10, and 0.6 less at 100."""
    at_10 = {("random", 10): random, ("sss", 10): sss, ("sss-b", 10): best}
    return at_10 | {(name, 100): value - 0.6 for (name, _), value in at_10.items()}


def place(cell):
    return (cell.sampler, cell.n)


def said(path, **targets):
    given = options(**targets)
    return " ".join(sentences(advise(given, path), given))


@pytest.mark.parametrize(
    ("mean", "se", "over", "expected"),
    [
        (0.5, 0.05, TWO_WAY, MEETS),
        (0.5, 0.0, TWO_WAY, MEETS),
        (0.7, 0.1, TWO_WAY, LIKELY),
        (0.8, 0.1, TWO_WAY, LIKELY),
        (0.81, 0.0, TWO_WAY, NO),
        (0.5, 0.05, PROMPTS_ONLY, LIKELY),
        (0.5, float("nan"), TWO_WAY, LIKELY),
        (float("nan"), float("nan"), TWO_WAY, UNMEASURED),
    ],
)
def test_a_limit_is_met_by_the_whole_interval_and_likely_met_by_the_mean(mean, se, over, expected):
    assert verdict(Estimate(mean, se, 5, 3, 100, over), 0.8) == expected


def test_the_smallest_n_within_the_limits_is_advised(tmp_path):
    path = scores(tmp_path / "s", harm=grid(), over_refusal={key: 0.05 for key in grid()})
    advice = advise(options(harm=0.8, over_refusal=20), path)
    assert place(advice.advised) == ("sss-b", 10) and advice.advised.verdict == MEETS
    assert advice.surest is advice.advised and advice.nearest is None
    text = said(path, harm=0.8, over_refusal=20)
    assert "For Model M: add 10 examples picked by SSS-B." in text and "Sure: the whole 95 % interval" in text
    assert "Random is within the limits from n = 100 (meets)." in text, "the difference is significant, so labels pay"
    assert "costs no labels" not in text and ", significant (corrected p" in text


def test_a_wide_interval_is_likely_and_the_surest_cell_is_named_beside(tmp_path):
    path = scores(tmp_path / "s", harm=grid() | {("sss-b", 10): [0.2, 0.6, 1.0]})
    advice = advise(options(harm=0.8), path)
    assert place(advice.advised) == ("sss-b", 10) and advice.advised.verdict == LIKELY
    assert place(advice.surest) == ("sss-b", 100)
    text = said(path, harm=0.8)
    assert "Not sure of harm: the mean is within, the interval is not;" in text
    assert "the first that is surely within every limit is SSS-B at n = 100." in text


def test_a_difference_that_is_not_resolved_is_said_and_random_costs_no_labels(tmp_path):
    harm = grid() | {("sss-b", 10): [0.2, 0.6, 1.0], ("random", 10): [1.2, 0.5, 0.4]}
    text = said(scores(tmp_path / "s", harm=harm), harm=0.65)
    assert "not significant (corrected p" in text
    assert "Random is within the limits from n = 100 (meets), and costs no labels." in text


def test_random_is_advised_without_comparing_it_with_itself(tmp_path):
    path = scores(tmp_path / "s", harm=grid(random=0.1))
    assert place(advise(options(harm=0.8), path).advised) == ("random", 10)
    assert "Random costs no labels." in said(path, harm=0.8)


def test_at_one_n_the_surest_comes_first_then_the_least_harm_then_the_papers_order(tmp_path):
    wide = grid(random=0.5, sss=0.4) | {("sss-b", 10): [0.0, 0.1, 0.7]}
    assert place(advise(options(harm=0.8), scores(tmp_path / "a", harm=wide)).advised) == ("sss", 10)
    narrow = grid(random=0.5, sss=0.4, best=0.3)
    assert place(advise(options(harm=0.8), scores(tmp_path / "b", harm=narrow)).advised) == ("sss-b", 10)
    equal = grid(random=0.9, sss=0.3, best=0.3)
    assert place(advise(options(harm=0.8), scores(tmp_path / "c", harm=equal)).advised) == ("sss", 10)


def test_a_single_run_is_likely_at_best(tmp_path):
    path = scores(tmp_path / "s", harm={key: [value] for key, value in grid().items()})
    advice = advise(options(harm=0.8), path)
    assert {cell.verdict for cell in advice.cells} == {LIKELY, NO} and advice.surest is None
    text = said(path, harm=0.8)
    assert "one run says nothing of the next; no cell is surely within." in text
    assert "over prompts only: one shared trial gives no p-value" in text and "costs no labels" in text


def test_a_limit_that_nothing_keeps_stands_in_the_way(tmp_path):
    path = scores(tmp_path / "s", harm=grid(best=0.7))
    advice = advise(options(harm=0.0), path)
    assert advice.advised is None and place(advice.nearest) == ("sss-b", 100)
    text = said(path, harm=0.0)
    assert "no sampler at any n of this study is within the limits" in text
    assert "In the way: harm, at most 0.00; the lowest is SSS-B at n = 100 with 0.1" in text
    assert "Nearest: SSS-B at n = 100," in text and "Try: larger n" in text


def test_limits_that_exclude_each_other_are_told_apart_from_one_that_nothing_keeps(tmp_path):
    refusals = {key: 0.1 if key[1] == 10 else 0.3 for key in grid()}
    path = scores(tmp_path / "s", harm=grid(best=1.0), over_refusal=refusals)
    text = said(path, harm=0.8, over_refusal=20)
    assert "each limit is kept by some cell, but not all limits by one cell" in text
    assert "over-refusal 30.5 %" in text or "harm 1.0" in text
    assert place(advise(options(harm=0.8, over_refusal=20), path).nearest) == ("random", 10)


def test_over_refusal_in_the_way_asks_for_fewer_examples(tmp_path):
    path = scores(tmp_path / "s", harm=grid(best=0.1), over_refusal={key: 0.4 for key in grid()})
    assert "Try: smaller n" in said(path, harm=0.8, over_refusal=20)


def test_helpfulness_loss_is_what_base_data_alone_has_more_of(tmp_path):
    helpful = {("none", 0): 2.0} | {key: 1.5 if key[0] == "sss-b" else 1.9 for key in grid()}
    path = scores(tmp_path / "s", harm=grid() | {("none", 0): 2.0}, helpfulness=helpful)
    advice = advise(options(harm=0.8, helpfulness_loss=0.2), path)
    losses = {place(cell): cell.estimates["helpfulness_loss"] for cell in advice.cells}
    assert losses["sss-b", 10].mean == pytest.approx(0.5) and losses["random", 10].mean == pytest.approx(0.1)
    assert place(advice.advised) == ("random", 100), "the sampler of least harm costs too much helpfulness"
    assert all(cell.sampler != "none" for cell in advice.cells)


def test_a_metric_that_was_not_measured_is_not_taken_for_kept(tmp_path):
    path = scores(tmp_path / "s", harm=grid(), helpfulness={key: 1.0 for key in grid()})
    advice = advise(options(harm=0.8, helpfulness_loss=0.2), path)
    assert advice.advised is None and {cell.verdict for cell in advice.cells} == {UNMEASURED, NO}
    text = said(path, harm=0.8, helpfulness_loss=0.2)
    assert "helpfulness loss was not measured; name helpfulness in experiments.sampling.metrics and none in its" in text
    given = options(harm=0.8, helpfulness_loss=0.2)
    with style.styled():
        assert draw(advice, given).figure.get_axes()
    assert "not measured" in to_markdown(advice, given)


def test_answers_that_could_not_be_read_leave_a_cell_unmeasured_and_the_others_as_they_are(tmp_path):
    path = scores(tmp_path / "s", harm=grid(sss=0.6) | {("sss-b", 10): [None, None, None]})
    advice = advise(options(harm=0.8), path)
    verdicts = {place(cell): cell.verdict for cell in advice.cells}
    assert verdicts["sss-b", 10] == UNMEASURED and place(advice.advised) == ("sss", 10)
    one_read = scores(tmp_path / "t", harm=grid(sss=0.9) | {("sss-b", 10): [None, 0.5, None]})
    assert advise(options(harm=0.8), one_read).advised.harm.runs == 1


def test_without_a_limit_there_is_no_advice(tmp_path):
    with pytest.raises(BallastError, match="set targets.harm"):
        advise(options(harm=None), scores(tmp_path / "s", harm=grid()))


def test_the_table_has_a_row_for_each_cell_and_limit(tmp_path):
    path = scores(tmp_path / "s", harm=grid(), over_refusal={key: 0.05 for key in grid()})
    rows = table(advise(options(harm=0.8, over_refusal=20), path))
    assert len(rows) == 3 * 2 * 2 and rows["advised"].sum() == 2
    first = rows.iloc[0]
    assert (first["sampler"], first["n"], first["limit"], first["at_most"]) == ("random", 10, "harm", 0.8)
    assert first["mean"] == pytest.approx(1.005) and first["kept"] == NO and first["interval_over"] == TWO_WAY


def test_the_figure_marks_the_advised_cell_and_every_limit(tmp_path):
    path = scores(tmp_path / "s", harm=grid(), over_refusal={key: 0.05 for key in grid()})
    given = options(harm=0.8, over_refusal=20)
    advice = advise(given, path)
    with style.styled():
        drawn = draw(advice, given)
    cells, harm, refusal = [axis for axis in drawn.figure.get_axes() if axis.axison]
    outlined = [patch.get_xy() for patch in cells.patches if not patch.get_fill()]
    assert outlined == [(-0.5, 1.5)], "SSS-B, third row, first n"
    assert [round(line.get_xdata()[0], 2) for panel in (harm, refusal) for line in panel.lines[-1:]] == [0.8, 20.0]
    assert [label.get_text() for label in cells.get_yticklabels()] == ["Random", "SSS", "SSS-B"]
    assert drawn.data["closer"].sum() == 6
    bars = [bar.get_segments()[0][:, 0] for bar in harm.collections]
    found = [cell.estimates["harm"] for cell in advice.cells if cell.n == 10]
    assert [list(bar) for bar in bars] == [pytest.approx([one.low, one.high]) for one in found]


def test_the_script_writes_the_same_bytes_twice_and_names_only_the_judges_that_it_used(tmp_path, monkeypatch):
    path = scores(tmp_path / "s", harm=grid())
    for folder in (tmp_path / "first", tmp_path / "second"):
        outputs = [
            part for kind in ("txt", "csv", "md", "pdf", "svg", "png") for part in (f"--out-{kind}", f"a.{kind}")
        ]
        outputs = [part if part.startswith("--") else str(folder / part) for part in [*outputs, "--out-data", "d.csv"]]
        given = json.dumps(STUDY | {"targets": {"harm": 0.8, "asr": None}})
        monkeypatch.setattr(sys, "argv", ["advice.py", "--options", given, "--scores", path, *outputs])
        runpy.run_path(str(SCRIPTS / "advice.py"), run_name="__main__")
    names = sorted(file.name for file in (tmp_path / "first").iterdir())
    assert names == ["a.csv", "a.md", "a.pdf", "a.png", "a.svg", "a.txt", "d.csv"]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    page = (tmp_path / "first" / "a.md").read_text()
    assert "judge `harm-rm`" in page and "wildguard" not in page and "`mini` is a synthetic study" in page
