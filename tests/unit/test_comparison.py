"""Paper versus ours: each cell stands once, only like is compared with like, and what is within which band."""

import json
import math

import pytest
from helpers.published import SAMPLERS, TABLES, TRANSFER, made_scores, options

from ballast.published import tables
from ballast.results.comparison import BOTH, COLUMNS, OURS, THEIRS, compare, to_markdown
from ballast.results.metrics import read_scores
from ballast.results.statistics import PROMPTS_ONLY
from ballast.study.artefacts import options_for, parse_options


def compared(number, path, given):
    told = parse_options(f"comparison-{number}", json.dumps(options_for(f"comparison-{number}", given)))
    table = compare(number, told, tables.read(TABLES), read_scores(path))
    return table.set_index(["paper_model", "sampler", "n"]), to_markdown(number, table, told)


@pytest.fixture(scope="module")
def higher(tmp_path_factory):
    """A study whose every mean is 0.1 above the published one."""
    return made_scores(tmp_path_factory.mktemp("higher") / "scores.parquet", shift=0.1)


def test_each_cell_of_table_1_is_there_once_with_its_difference(higher):
    table, text = compared(1, higher, options())
    assert table.index.is_unique and len(table) == 1 + 7 * 7 and (table["cell"] == BOTH).all()
    assert list(table.reset_index().columns.sort_values()) == sorted(COLUMNS)
    assert table["difference"].tolist() == pytest.approx([0.1] * 50)
    cell = table.loc[("llama-2-7b", "sss", 100)]
    assert (cell["paper_mean"], cell["paper_pm"], cell["runs"]) == (1.82, 0.2, 10)
    # Student's 97.5 % quantile with 9 degrees of freedom is 2.2622.
    assert (cell["band_low"], cell["band_high"]) == pytest.approx((1.82 - 2.2622 * 0.2, 1.82 + 2.2622 * 0.2), abs=1e-4)
    assert "Cells: 50 in both, 0 only in the paper, 0 only here." in text
    assert "| SSS            | 100  | 1.82 ± 0.20 | 1.92 ±" in text


def test_the_band_is_the_widest_reading_and_the_printed_one_stands_beside_it(higher):
    table, text = compared(1, higher, options())
    wide = table[table["paper_pm"].notna()]
    # 0.1 above: within 2.26 times what is printed from 0.0442 on, within what is printed from 0.1 on.
    assert all(cell.within_band == (cell.paper_pm > 0.0443) for cell in wide.itertuples())
    assert all(cell.within_printed == (cell.paper_pm >= 0.1) for cell in wide.itertuples())
    assert {True, False} == set(wide["within_band"]) == set(wide["within_printed"])
    assert table.loc[table["paper_pm"].isna(), "within_band"].isna().all() and "no ± printed" in text
    counted = f"Of 21 with a ±, {sum(wide['within_band'])} lie within the paper's band"
    assert counted in text and "± as a standard error over 10 trials: mean ± 2.26 times" in text


def test_the_interval_of_a_difference_holds_the_spread_of_both(higher):
    table, _ = compared(1, higher, options())
    for sampler in ("random", "sss", "sss-b"):
        cell = table.loc[("llama-2-7b", sampler, 150)]
        half = (cell["difference_high"] - cell["difference_low"]) / 2
        alone = (cell["high"] - cell["low"]) / 2
        assert half > max(alone, 1.9 * cell["paper_pm"]) and half < alone + 2.27 * cell["paper_pm"]
    single = table.loc[("llama-2-7b", "cossim", 150)]
    assert single["over"] == PROMPTS_ONLY and math.isnan(single["paper_pm"])
    assert single["difference_high"] - single["difference_low"] == pytest.approx(
        single["high"] - single["low"], abs=1e-5
    )


def test_one_run_is_marked(higher):
    _, text = compared(1, higher, options())
    (line,) = [line for line in text.splitlines() if line.startswith("| PSS ") and "| 50 " in line]
    assert "†" in line and "†: one run, so its interval is over prompts only" in text


def test_cells_that_one_side_lacks_are_shown_as_such(higher):
    table, text = compared(1, higher, options(n=[50, 100], samplers=[*SAMPLERS, "random-b"]))
    assert table["cell"].value_counts().to_dict() == {BOTH: 15, THEIRS: 35}
    # Sizes that the paper has not: nothing is compared, and nothing fails.
    scores = read_scores(higher)
    moved = scores[scores["n"].isin([50, 0])].assign(n=lambda rows: rows["n"].replace(50, 60))
    moved.to_parquet(f"{higher}.moved")
    table, text = compared(1, f"{higher}.moved", options(n=[60], samplers=list(SAMPLERS[1:])))
    assert table["cell"].value_counts().to_dict() == {THEIRS: 49, OURS: 7, BOTH: 1}  # the model without safety data
    assert table["difference"].notna().sum() == 1 and "49 only in the paper, 7 only here" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"published": {}, "synthetic": True}, "**Not comparable with the paper.** `made` is a synthetic study"),
        ({"published": {}}, "does not say that llama-2-7b is a model of the paper (`models.<name>.published`)"),
    ],
)
def test_a_model_that_is_not_the_papers_is_compared_with_nothing(higher, changes, words):
    table, text = compared(1, higher, options() | changes)
    assert set(table["cell"]) == {OURS, THEIRS} and table["difference"].isna().all()
    assert words in text.splitlines()[2] and "Nothing can be compared." in text


def test_table_4_is_by_model_and_table_2_in_per_cent(higher):
    named = {"published": {model: model for model in TRANSFER["models"]}}
    table, text = compared(4, higher, options(**TRANSFER) | named)
    assert len(table) == 16 and (table["cell"] == BOTH).all() and "none" not in table.index.get_level_values("sampler")
    assert table.loc[("mistral-7b", "sss-b", 100), "mean"] == pytest.approx(0.8) and "| Model " in text
    table, text = compared(2, higher, options())
    assert table.loc[("llama-2-7b", "cossim", 50), "mean"] == pytest.approx(41.72)
    assert "for attack success it is an estimate" in text
