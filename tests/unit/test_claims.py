"""The claims: what the published cells come to, and that a study decides only what it can."""

import json
import math
import os
from pathlib import Path

import pandas as pd
import pytest
from helpers.published import SIZES, TABLES, TRANSFER, made_scores, options

from ballast.claims import page
from ballast.claims.declared import CLAIMS
from ballast.claims.grids import Measured, Published
from ballast.claims.pairs import HARM, below
from ballast.claims.verdicts import FAILS, HOLDS, OPEN, Lower
from ballast.files import BallastError
from ballast.published import tables
from ballast.published.tables import READINGS
from ballast.results.metrics import read_scores
from ballast.results.statistics import PROMPTS_ONLY, holm
from ballast.study.artefacts import options_for

DATA = Path(os.environ.get("BALLAST_DATA", "../shared/data")) / "published_scores/paper_tables.csv"
DOCS = Path(__file__).parents[2] / "docs/claims.md"
IDS = [claim.id for claim in CLAIMS]


@pytest.fixture(scope="module")
def printed():
    return dict(zip(IDS, page.published(tables.read(TABLES)), strict=True))


def study(path, parts):
    """What each claim comes to in the scores at `path`; `parts`: experiment -> options."""
    text = json.dumps({name: options_for(f"claims-{name}", part) for name, part in parts.items()})
    return dict(zip(IDS, page.measured(read_scores(path), page.experiments(text)), strict=True))


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """A study that measures what the paper printed, with little noise."""
    path = made_scores(tmp_path_factory.mktemp("repeated") / "scores.parquet", spread=0.005)
    return study(path, {"sampling": options(), "transfer": options(**TRANSFER)})


@pytest.mark.skipif(not DATA.exists(), reason=f"the published figures as typed elsewhere are not at {DATA}")
def test_the_typed_tables_are_those_of_the_data_folder():
    names = {"llama2-7b": "llama-2-7b", "llama3-8b": "llama-3-8b", "llama3-8b-instruct": "llama-3-8b-instruct"}
    other = pd.read_csv(DATA, dtype={"table": str})
    other = pd.DataFrame(
        {
            "table": other["table"],
            "metric": other["metric"].map({"harm_rm_mean": "harm", "salad_asr_percent": "asr"}),
            "model": other["base_model"].replace(names),
            "sampler": other["method"].str.lower().replace("nosafety", "none"),
            "n": other["n_safety"],
            "mean": other["mean"].astype(float),
            "pm": other["pm"],
        }
    )
    pd.testing.assert_frame_equal(tables.read(TABLES), other)
    assert len(other) == 116


def test_a_table_that_breaks_its_schema_is_one_line(tmp_path):
    broken = tmp_path / "tables.csv"
    broken.write_text(TABLES.read_text().replace("1,harm,llama-2-7b,random,50,2.16", "1,harm,llama-9,random,50,2.16"))
    with pytest.raises(BallastError, match="tables.csv: not the published tables .*; restore the file"):
        tables.read(broken)


@pytest.mark.parametrize(
    ("claim", "verdict", "value"),
    [
        ("abstract-41", HOLDS, 41.35),
        ("abstract-share", FAILS, 0.5),
        ("abstract-most", FAILS, 80.17),
        ("sss-b-41", FAILS, 32.91),
        ("sss-150-none", HOLDS, 44.30),
        ("sss-150-random", HOLDS, 10.81),
        ("sss-b-150-none", HOLDS, 49.79),
        ("sss-b-150-random", HOLDS, 19.59),
        ("sss-b-250-none", HOLDS, 66.24),
        ("sss-b-250-random", HOLDS, 15.79),
        ("cossim-b-100-random", HOLDS, 24.46),
        ("cossim-b-350-random", HOLDS, 14.67),
        ("sss-b-150-asr", HOLDS, 25.56),
        ("sss-b-500-asr-none", HOLDS, 86.57),
        ("sss-b-500-asr-random", HOLDS, 10.46),
        ("asr-9-21", FAILS, 13.86),
        ("asr-9", FAILS, 13.86),
        ("behavioural-asr-50-100", FAILS, 13.86),
        ("refusals-help-sss", FAILS, 6),
        ("refusals-help-pss", FAILS, 4),
        ("refusals-help-cossim", FAILS, 2),
        ("sss-b-every-n", HOLDS, 14),
        ("structured-every-n", FAILS, 64),
        ("sss-b-significant", FAILS, 4),
        ("transfer", HOLDS, 8),
        ("transfer-significant", FAILS, 7),
        ("deterministic-reduce", HOLDS, 28),
    ],
)
def test_what_the_published_cells_come_to(printed, claim, verdict, value):
    assert (printed[claim].verdict, round(printed[claim].value, 2)) == (verdict, value)


def test_921_is_no_cell_and_the_nearest_is_cossim_at_50(printed):
    said = printed["asr-9-21"].said
    assert "nearest to the claimed: Cossim@50, 9.11 points, and none equals it" in said and "Cossim-B@100" in said
    assert "Random alone 22.4 %" in printed["abstract-41"].said


def test_only_sss_b_is_below_random_at_every_n_in_both_tables():
    grid = Published(tables.read(TABLES), "sampling")
    throughout = [
        sampler
        for sampler in grid.samplers
        if sampler not in ("random", "none")
        and all(
            grid.mean(grid.cell(metric, sampler, n)) < grid.mean(grid.cell(metric, "random", n))
            for metric in ("harm", "asr")
            for n in SIZES
        )
    ]
    assert throughout == ["sss-b"]


@pytest.mark.parametrize(
    ("metric", "sampler", "expected"),
    [
        ("harm", "sss-b", [{50, 100, 150, 250}, {100, 150}, set()]),
        ("asr", "sss-b", [{50, 100, 150, 250}, {100, 150}, set()]),
        ("harm", "sss", [{150, 1000}, set(), set()]),
        ("asr", "sss", [set(), set(), set()]),
    ],
)
def test_what_is_significant_depends_on_what_plus_minus_is(metric, sampler, expected):
    grid = Published(tables.read(TABLES), "sampling")
    pairs = [(grid.cell(metric, sampler, n), grid.cell(metric, "random", n)) for n in SIZES]
    found = [{n for n, p in zip(SIZES, holm(grid.p(pairs, reading)), strict=True) if p < 0.05} for reading in READINGS]
    assert found == expected


def test_a_significant_difference_the_other_way_bears_nothing_out():
    turned = Lower(below("sss-b", ("random",), (HARM,)), tested=True)
    found = turned.published(Published(tables.read(TABLES), "sampling"))
    assert (found.verdict, found.value) == (FAILS, 0) and "standard deviation: none" in found.said


def test_no_claim_is_declared_twice_and_each_has_words_and_a_source():
    assert len(CLAIMS) >= 20 and len(set(IDS)) == len(IDS)
    assert all(claim.text.endswith(".") and claim.source and claim.claimed for claim in CLAIMS)


def test_a_study_that_repeats_the_paper_finds_what_its_cells_say(printed, repeated):
    decided = {name: one.verdict for name, one in repeated.items() if one.verdict != OPEN}
    # What rests on differences of the size of this study's noise, or on more than the printed sign.
    unlike = {"sss-b-significant", "transfer-significant"}
    assert {name: printed[name].verdict for name in decided if name not in unlike} == {
        name: verdict for name, verdict in decided.items() if name not in unlike
    }
    assert {"sss-b-150-random", "sss-b-250-none", "transfer", "sss-b-every-n", "harm-falls"} <= set(decided)
    assert repeated["sss-b-significant"].verdict == HOLDS
    number = repeated["sss-b-150-none"]
    assert number.low < 49.79 < number.high and abs(number.value - 49.79) < 0.5 and "one of none" in number.said


def test_a_single_run_of_a_sampler_decides_nothing(repeated):
    for name in ("abstract-41", "cossim-b-100-random", "refusals-help-cossim", "cossim-b-pss-b"):
        assert repeated[name].verdict == OPEN and "single run of cossim" in repeated[name].said, name
        assert not math.isnan(repeated[name].value)
    assert "prompts only" in repeated["refusals-help-cossim"].said


def test_the_largest_is_refuted_by_one_cell_above_and_by_none_below_while_some_are_single_runs(repeated):
    most = repeated["abstract-most"]
    assert most.verdict == FAILS and most.low > 41 and "of 14 with several runs" in most.said
    # SSS-B@100 is 7.25 points below Random; a Cossim-B that is one run may be further below.
    open_still = repeated["asr-9"]
    assert open_still.verdict == OPEN and open_still.said.startswith("a single run of cossim, cossim-b, pss, pss-b")
    assert 6.5 < open_still.low < 7.25 < open_still.high < 8


def test_a_study_of_other_sizes_does_not_test_a_claim_about_100(tmp_path):
    path = made_scores(tmp_path / "scores.parquet", spread=0.002)
    found = study(path, {"sampling": options(n=[50, 350])})
    assert (found["abstract-41"].verdict, found["abstract-41"].said) == (OPEN, "this study has no n = 100")
    assert found["sss-150-asr"].verdict == OPEN and "n = 150" in found["sss-150-asr"].said
    assert found["behavioural-asr-50-100"].said == "this study has no n = 100"
    # A claim about every n is about those that there are: 50 and 350.
    assert found["sss-b-every-n"].verdict == HOLDS and "4 of 4" in found["sss-b-every-n"].said
    assert found["transfer"].said == "this study has no experiment 'transfer'"


def test_noise_leaves_a_claim_open_and_a_refutation_must_survive_holm(tmp_path):
    few = options(n=[150, 350], samplers=["none", "random", "sss-b"])
    found = study(made_scores(tmp_path / "noisy", spread=0.5), {"sampling": few})
    assert found["sss-b-every-n"].verdict == OPEN and "interval includes both" in found["sss-b-every-n"].said
    scores = read_scores(made_scores(tmp_path / "turned", spread=0.002))
    turned = (scores["sampler"] == "sss-b") & (scores["n"] == 350)
    scores.loc[turned, "score"] *= 1.5
    scores.to_parquet(tmp_path / "turned")
    found = study(tmp_path / "turned", {"sampling": few})
    assert found["sss-b-every-n"].verdict == FAILS and found["sss-b-every-n"].value > 0
    assert "SSS-B@350 (harm)" in found["sss-b-every-n"].said


def test_a_relative_reduction_has_the_interval_of_the_delta_method(tmp_path):
    scores = read_scores(made_scores(tmp_path / "scores", spread=0.1))
    part = {"sampling": options_for("claims-sampling", options())}
    grid = Measured(scores, page.experiments(json.dumps(part))["sampling"])
    ours, theirs = grid.cell(HARM, "sss-b", 1000), grid.cell(HARM, "random", 50)
    found = grid.reduction(ours, theirs).estimate
    one, other = (grid._cells[cell].mean(axis=1).to_numpy() for cell in (ours, theirs))
    ratio = one.mean() / other.mean()
    # Prompts scale both alike here, so all that varies is the runs: the textbook variance of a ratio of paired means,
    # with the spread that the experiment's cells share.
    spread = grid._beside(ours, theirs).pair(ours, theirs, ratio)[-1]
    by_hand = 100 * math.sqrt(spread.variance / 10) / other.mean()
    assert 0.5 < math.sqrt(spread.variance) / (one - ratio * other).std(ddof=1) < 2
    assert found.mean == pytest.approx(100 * (1 - ratio))
    assert found.se == pytest.approx(by_hand, rel=0.1)


def test_a_single_run_stands_against_every_run_of_the_other(tmp_path):
    scores = read_scores(made_scores(tmp_path / "scores", spread=0.1))
    part = {"sampling": options_for("claims-sampling", options())}
    grid = Measured(scores, page.experiments(json.dumps(part))["sampling"])
    none = grid.contrast(grid.cell(HARM, "sss-b", 150), grid.cell(HARM, "none", 150))
    assert none.estimate.runs == 10 and none.single == ("none",) and none.decidable
    cossim = grid.contrast(grid.cell(HARM, "cossim-b", 150), grid.cell(HARM, "random", 150))
    assert cossim.estimate.runs == 10 and not cossim.decidable
    alone = grid.contrast(grid.cell(HARM, "cossim-b", 150), grid.cell(HARM, "none", 150))
    assert alone.estimate.over == PROMPTS_ONLY and not alone.decidable


def test_table_and_page_have_a_row_for_each_claim_and_equal_bytes(printed, repeated):
    both = list(printed.values()), list(repeated.values())
    table = page.table(*both)
    assert list(table["id"]) == IDS and list(table.columns) == list(page.COLUMNS)
    text = page.page(*both, {})
    assert text == page.page(*both, {}) and all(f"| `{name}` |" in text for name in IDS)


def test_the_documents_list_is_the_codes(printed):
    assert page.listing(list(printed.values())) in DOCS.read_text(), "run: python scripts/claims_docs.py"
