"""The gradient report: its groups, effects and correlations on cases made by hand, and its files."""

import itertools
import json
import math
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ballast
from ballast import schemas
from ballast.picks import gradients
from ballast.picks.gradients import in_memory
from ballast.picks.selection import Features
from ballast.results import gradients_page, style
from ballast.results.gradients import Group, outermost, rank_correlation, relations, report, together
from ballast.results.gradients_figure import draw
from ballast.results.statistics import Estimate
from ballast.study.artefacts import parse_options

SCRIPTS = Path(ballast.__file__).parents[1]
STUDY = {
    "study": "mini",
    "synthetic": True,
    "judges": {"harm": "harm-rm", "over_refusal": "wildguard"},
    "stand_ins": {},
    "experiment": {"models": ["m"], "pools": ["p"], "samplers": ["t1", "t2", "t3", "t4"], "n": [7], "trials": 2},
}
# Conflict with a task that pulls along the first axis, loss after and before, behaviour and category.
ROWS = {
    "a": (1.0, 2.0, 0.5, "T1", 0),
    "b": (0.6, 1.5, 0.5, "T1", 0),
    "c": (0.0, 1.0, 0.8, "T1", 1),
    "d": (-0.6, 0.6, 0.5, "T1", 2),
    "e": (0.0, 2.0, 2.0, "T2", 0),
    "f": (-1.0, 0.4, 0.4, "T4", 0),
    "g": (0.6, 1.0, 0.5, "T3", 5),
    "h": (None, math.nan, None, "T1", 3),
}
# Harm of a prompt of categories 0, 1 and 2 in each run; t4 has one run.
HARM = {
    ("none", 0): [[3, 2, 2], [3, 2, 1]],
    ("t1", 7): [[0, 1, 2], [1, 1, 1]],
    ("t2", 7): [[2, 2, 2], [2, 2, 1]],
    ("t4", 7): [[3, 3, 2]],
    ("as-is", 0): [[0, 1, 0]],
}


def features(ids=tuple(ROWS)) -> Features:
    directions = np.array(
        [[0 if along is None else -along, math.sqrt(1 - (along or 0) ** 2)] for along, *_ in ROWS.values()]
    )
    directions[list(ROWS).index("h")] = 0
    losses = [loss for _, loss, *_ in ROWS.values()]
    norms = [float(along is not None) for along, *_ in ROWS.values()]
    whole = in_memory(list(ROWS), losses, norms, directions)
    before = {
        row: np.array([] if known is None else [-known] * 2, np.float32) for row, (_, _, known, _, _) in ROWS.items()
    }
    return Features(
        behaviour=pd.Series({row: ROWS[row][3] for row in ids}),
        categories=pd.Series({row: [ROWS[row][4], 9] for row in ids}),
        gradients=whole,
        base_gradients=in_memory(["x"], [1.0], [3.0], np.array([[1.0, 0.0]])),
        logprobs=pd.Series(before),
    )


def scores(harm=HARM) -> pd.DataFrame:
    rows = [
        {"model": "m", "pool": "-" if sampler == "as-is" else "p", "sampler": sampler, "n": n, "trial": trial}
        | {"benchmark": benchmark, "judge": judge, "prompt_id": f"{benchmark} {place}", "category": place}
        | {"score": float(value), "answer_status": "parsed", "finish_reason": "stop"}
        | {"prompt_tokens": 5, "response_tokens": 7}
        for benchmark, judge in (("beavertails-eval", "harm-rm"), ("xstest", "wildguard"))
        for (sampler, n), runs in harm.items()
        for trial, values in enumerate(runs)
        for place, value in enumerate(values if judge == "harm-rm" else [0, 1])
    ]
    return pd.DataFrame(rows).astype({"category": "Int8"})


def options():
    return parse_options("gradients", json.dumps(STUDY))


def test_rows_have_their_measures_and_one_that_teaches_nothing_has_none():
    rows = report(options(), features(), scores(), {}).rows.set_index("id")
    assert rows.loc["a", ["loss", "increase", "conflict"]].tolist() == [2.0, 1.5, 1.0]
    assert rows.loc["d", ["increase", "conflict"]].round(6).tolist() == [0.1, -0.6]
    assert rows.loc["h", ["loss", "increase", "norm", "conflict"]].isna().all()
    assert rows["category"].tolist() == [0, 0, 1, 2, 0, 0, 5, 3], "the first of its categories"


def test_groups_have_means_over_their_rows_and_effects_against_base_data_alone():
    found = report(options(), features(), scores(), {})
    t1, t2, t3, t4 = found.of("behaviour")
    assert (t1.name, t1.rows, t1.conflicting) == ("T1", 4, 0.5) and round(t1.means["conflict"], 6) == 0.25
    assert round(t1.effects["harm change"].mean, 6) == round(-7 / 6, 6)
    assert t1.effects["over-refusal change"].mean == 0
    assert round(t2.effects["harm change"].mean, 6) == round(-2 / 6, 6)
    assert t3.effects == {} and t4.effects["harm change"].mean == 0.5
    assert t4.effects["harm change"].single, "held against both runs of base data alone"
    zero, one, two = found.of("category")
    assert (zero.rows, zero.means["conflict"]) == (2, 0.8)
    assert zero.effects["harm change"].mean == -2.5 and zero.effects["erosion"].mean == 3.0
    assert two.effects["harm change"].mean == 0 and two.effects["erosion"].mean == 1.5
    assert found.n["behaviour"] == 7 and found.of_t1 == ("t1", 7)


def test_what_a_sampler_picked_is_a_group():
    picked = {("t1", 7): {"t0": ["a", "b"], "t1": ["a"]}, ("t2", 7): {"t0": ["e"]}, ("t2", 3): {"t0": ["f"]}}
    groups = report(options(), features(), scores(), picked).of("sampler")
    assert [(group.name, group.rows) for group in groups] == [("t1", 2), ("t2", 1)]
    assert round(groups[0].means["conflict"], 6) == 0.8


def test_samplers_that_picked_the_same_rows_are_one_group():
    t1 = {"t0": ["a", "b"], "t1": ["c"]}
    # The same rows in another order, with a trial more; then other rows in one shared trial; then no shared trial.
    picked = {"t1": t1, "random-b": {"t0": ["b", "a"], "t1": ["c"], "t2": ["d"]}, "sss": t1 | {"t1": ["d"]}}
    assert together(picked | {"t2": {"t7": ["a", "b"]}}) == [("sss",), ("random-b", "t1"), ("t2",)]
    harm = HARM | {("random-b", 7): HARM["t1", 7], ("sss", 7): HARM["t2", 7]}
    cells = {(name, 7): trials for name, trials in picked.items()}
    shown = parse_options(
        "gradients", json.dumps(STUDY | {"experiment": STUDY["experiment"] | {"samplers": ["t1", "random-b", "sss"]}})
    )
    found = report(shown, features(), scores(harm), cells)
    groups = found.of("sampler")
    assert [(group.names, group.rows) for group in groups] == [(("sss",), 3), (("random-b", "t1"), 4)]
    assert not [one for one in found.relations if one.kind == "sampler"], "two groups have no correlation"
    page = gradients_page.to_markdown(found, shown)
    assert "Random-B and T1 picked the same rows" in page and "Random-B = T1" in page


def groups(means, effects, inner=None) -> list[Group]:
    estimates = [Estimate(effect, 0.1, 2, 3, 5, "") for effect in effects]
    measures = [dict.fromkeys(("loss", "increase", "conflict"), float(mean)) for mean in means]
    cores = [dict.fromkeys(("loss", "increase", "conflict"), float(mean)) for mean in inner or means]
    return [
        Group("sampler", (name,), 5, mean, mean, core, 0.5, {"harm change": effect})
        for name, mean, core, effect in zip("abcdefgh", measures, cores, estimates, strict=False)
    ]


def test_a_correlation_names_the_group_that_drives_it():
    # Without e, the other four go up together; with it, rho is nil.
    one = relations(groups([1, 2, 3, 4, 5], [2, 3, 4, 5, 1]))[0]
    assert (one.rho, one.high, one.driver) == (0.0, 1.0, ("e",)) and one.low == pytest.approx(-0.2)
    assert one.inner == one.rho
    assert relations(groups([1, 2, 3], [1, 2, 3]))[0].driver is None, "two groups are no correlation"


def test_a_correlation_is_also_without_the_outermost_rows():
    one = relations(groups([1, 2, 3, 4], [1, 2, 3, 4], inner=[4, 3, 2, 1]))[0]
    assert (one.rho, one.inner) == (1.0, -1.0)


def test_the_outermost_rows_are_a_tenth_by_absolute_value():
    values = pd.Series([0.1, -5.0, 2.0] + [0.0] * 17, index=list("abcdefghijklmnopqrst"))
    assert list(outermost(values)) == ["b", "c"] and list(outermost(values[:1])) == ["a"]
    assert len(outermost(pd.Series(range(70)))) == 7


def test_the_page_names_the_rows_that_carry_a_mean():
    page = gradients_page.to_markdown(report(options(), features(), scores(), {}), options())
    line = next(each for each in page.splitlines() if each.startswith("| T1 ") and "| conflict" in each)
    # Of T1's conflicts 1, 0.6, 0 and -0.6 the first, row a, is the outermost.
    assert [cell.strip() for cell in line.split("|")[3:9]][:4] == ["1 of 4", "45 %", "+0.250", "+0.000"]
    assert line.rstrip(" |").endswith("| a")


def test_relations_are_over_the_groups_that_were_measured():
    found = {(one.kind, one.measure, one.effect): one for one in report(options(), features(), scores(), {}).relations}
    conflict = found["category", "conflict", "harm change"]
    assert (conflict.groups, conflict.rho) == (3, -1.0) and conflict.p == pytest.approx(2 / 6, abs=1e-6)
    assert found["behaviour", "increase", "harm change"].groups == 3
    assert conflict.holm == 1.0, "one of many"


def test_the_rank_correlation_is_spearmans_with_all_orders():
    one, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 3.0])
    rho, p = rank_correlation(one, other)
    every = [np.corrcoef(one, order)[0, 1] for order in itertools.permutations(other)]
    assert rho == 0.8 and p == pytest.approx(sum(abs(each) > 0.8 - 1e-9 for each in every) / 24, abs=1e-6)
    assert all(map(math.isnan, rank_correlation(one, np.ones(4))))


def test_drawn_orders_give_the_p_value_of_a_t_test_nearly():
    random = np.random.default_rng(0)
    one = random.normal(size=14)
    other = one + random.normal(size=14)
    from scipy import stats

    wanted = stats.spearmanr(one, other)
    rho, p = rank_correlation(one, other)
    assert rho == pytest.approx(wanted.statistic, abs=1e-6) and p == pytest.approx(wanted.pvalue, abs=0.01)


def test_the_page_says_what_was_found_and_how_little_four_behaviours_show():
    page = gradients_page.to_markdown(report(options(), features(), scores(), {}), options())
    assert "Mean conflict: T3 +0.600, T1 +0.250, T2 +0.000, T4 -1.000." in page.replace("\\", "")
    assert "of 3 pairs of behaviours, larger conflict goes with" in page
    assert "3 behaviours cannot show more than a direction" in page
    assert re.search(r"\| T1 \(harmful \+ refusal\) +\| 4 +\| 1\.275 ± ", page) and "synthetic study" in page
    assert "rank correlation -1.00 (Holm's p 1.000), not significant" in page


def test_a_study_without_runs_of_one_behaviour_says_so():
    harm = {cell: runs for cell, runs in HARM.items() if cell[0] in ("none", "as-is")}
    found = report(options(), features(), scores(harm), {})
    page = gradients_page.to_markdown(found, options())
    assert "No run adds a single behaviour" in page and found.of_t1 is None
    assert set(found.of("category")[0].effects) == {"erosion"}


def write_inputs(folder: Path, order=slice(None)) -> list[str]:
    """The files that the stage reads, its rows in some order."""
    known, ids = features(), list(ROWS)[order]
    table = pd.DataFrame({"id": ids, "behaviour": [ROWS[row][3] for row in ids], "reason": "", "judge": "w"})
    schemas.write(str(folder / "behaviour.parquet"), table, schemas.BEHAVIOUR)
    labels = {"categories": [[ROWS[row][4], 9] for row in ids], "status": "parsed", "labeller": "l"}
    schemas.write(str(folder / "category.parquet"), pd.DataFrame({"id": ids} | labels), schemas.CATEGORIES)
    pool = known.gradients
    rows = pool.find(ids)
    directions = np.stack([np.zeros(2) if not pool.norms[row] else pool.units(np.array([row]))[0] for row in rows])
    gradients.write(folder / "gradients.arrow", [(ids, pool.losses[rows], pool.norms[rows], directions)])
    gradients.write(folder / "base-gradients.arrow", [(["x"], [1.0], [3.0], np.array([[3.0, 0.0]]))])
    lists = pa.array([known.logprobs[row] for row in ids], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": ids, "logprobs": lists}), folder / "logprobs.parquet")
    schemas.write(str(folder / "scores.parquet"), scores(), schemas.SCORES)
    (folder / "subset.csv").write_text("rank,id,category\n1,a,\n2,b,\n")
    named = ("behaviour.parquet", "category.parquet", "gradients.arrow", "base-gradients.arrow", "logprobs.parquet")
    return [word for name in named for word in (f"--{name.split('.')[0]}", str(folder / name))]


def write_swapped(folder: Path) -> dict:
    """A second pool with the requests of ROWS: each row teaches what the row before it teaches in the first pool."""
    ids, known = list(ROWS), features()
    for name, own in (("first", ids), ("second", [f"{row}2" for row in ids])):
        texts = {"instruction": [f"{row} ?" for row in ids], "input": "", "output": [f"{row} ." for row in own]}
        schemas.write(str(folder / f"{name}.parquet"), pd.DataFrame({"id": own} | texts), schemas.PAIRS)
    table = pd.DataFrame({"id": own, "behaviour": "T2", "reason": "", "judge": "w"})
    schemas.write(str(folder / "behaviour2.parquet"), table, schemas.BEHAVIOUR)
    pool, before = known.gradients, np.roll(np.arange(len(ids)), 1)
    directions = [[0, 0] if not pool.norms[row] else pool.units(np.array([row]))[0] for row in before]
    gradients.write(folder / "2.arrow", [(own, pool.losses[before], pool.norms[before], np.array(directions))])
    lists = pa.array([[-1.0]] * len(own), pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": own, "logprobs": lists}), folder / "logprobs2.parquet")
    base = {"base-gradients": str(folder / "base-gradients.arrow")}
    files = {"behaviour": "behaviour.parquet", "gradients": "gradients.arrow", "logprobs": "logprobs.parquet"}
    others = {"behaviour": "behaviour2.parquet", "gradients": "2.arrow", "logprobs": "logprobs2.parquet"}
    pools = [
        base | {name: str(folder / file) for name, file in (some | {"rows": rows}).items()}
        for some, rows in ((files, "first.parquet"), (others, "second.parquet"))
    ]
    shown = STUDY | {"experiment": STUDY["experiment"] | {"pools": ["p", "p2"]}}
    return {"options": shown, "pools": pools, "subsets": [["t1", 7, [str(folder / "subset.csv")]]]}


def run(folder: Path, order=slice(None), swapped=False) -> dict[str, bytes]:
    folder.mkdir()
    files = write_inputs(folder, order)
    files += ["--swapping", json.dumps(write_swapped(folder))] if swapped else []
    out = {kind: folder / f"out.{kind}" for kind in ("md", "csv", "pdf", "svg", "png", "data")}
    picked = json.dumps([["t1", 7, [str(folder / "subset.csv")]]])
    arguments = ["--options", json.dumps(STUDY), "--scores", str(folder / "scores.parquet"), "--picked", picked, *files]
    arguments += [word for kind, path in out.items() for word in (f"--out-{kind}", str(path))]
    before, sys.argv = sys.argv, ["gradient_report.py", *arguments]
    try:
        runpy.run_path(str(SCRIPTS / "gradient_report.py"), run_name="__main__")
    finally:
        sys.argv = before
    return {kind: path.read_bytes() for kind, path in out.items()}


def test_the_stage_writes_the_same_bytes_whatever_the_order_of_rows(tmp_path):
    one = run(tmp_path / "one")
    assert one == run(tmp_path / "other", slice(None, None, -1))
    rows = pd.read_csv(tmp_path / "one/out.csv")
    assert rows["id"].tolist() == sorted(ROWS) and rows.columns[-1] == "conflict"
    groups = pd.read_csv(tmp_path / "one/out.data")
    assert set(groups["kind"]) == {"behaviour", "category", "sampler"}


def test_the_figure_has_no_empty_panel_and_one_run_is_hollow():
    found = report(options(), features(), scores(), {("t1", 7): {0: ["a", "b"]}})
    (_, groups, _, _, _, _) = draw(found, options()).figure.get_axes()
    faces = {line.get_color(): line.get_markerfacecolor() for line in groups.lines if line.get_marker() == "o"}
    assert [hue for hue, face in faces.items() if face == "white"] == [style.BEHAVIOUR_HUES["T4"]]
    alone = report(options(), features(), scores({("none", 0): HARM["none", 0]}), {})
    drawn = draw(alone, options())
    assert len(drawn.figure.get_axes()) == 2
    assert "not measured" in " ".join(text.get_text() for part in drawn.figure.subfigs for text in part.texts)


def test_the_stage_compares_the_same_requests_with_other_responses(tmp_path):
    page = run(tmp_path / "one", swapped=True)["md"].decode().replace("\\", "")
    alone = run(tmp_path / "other")["md"].decode()
    assert "swaps the responses (docs/checks.md)" in alone and "## The same requests" not in alone
    # Rows b, c and d of T1 take the gradients of a, b and c: conflicts +0.4, +0.6 and +0.6.
    assert "3 requests, T1 to T2 with another response: conflict +0.533 (" in page
    assert "Rows of p: 8 = 6 pairs, 2 that teach nothing." in page
    assert "Without runs in both pools: T1, n = 7." in page and "swaps the responses" not in page
