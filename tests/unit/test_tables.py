"""Tables 1-4 and the headline: the right number in the right cell, bold where due, no word left where redacted."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ballast
from ballast import schemas
from ballast.files import BallastError
from ballast.markup import markdown, tex, to_markdown, to_tex
from ballast.results.headline import headline
from ballast.study.artefacts import parse_options
from ballast.tables import table1, table2, table3, table4, table5

SCRIPTS = Path(ballast.__file__).parents[1]
BENCHMARKS = {
    "harm": ("beavertails-eval", "harm-rm"),
    "asr": ("salad-attack", "md-judge"),
    "over_refusal": ("xstest", "wildguard"),
}
PAPER = ["random", "cossim", "sss", "pss", "random-b", "cossim-b", "sss-b", "pss-b"]
N = [50, 100, 1000]
GRID = {"models": ["m"], "pools": ["p"], "samplers": ["none", *PAPER], "n": N, "trials": 3}
STUDY = {
    "study": "mini",
    "synthetic": True,
    "redact": False,
    "judges": {metric: judge for metric, (_, judge) in BENCHMARKS.items()},
    "labellers": {"behaviour": "wildguard"},
    "stand_ins": {"harm-rm": "The harm judge is a stand-in."},
    "model_labels": {"m": "Model M"},
    "experiment": GRID,
}


def options(artefact, **changes):
    return parse_options(artefact, json.dumps(STUDY | changes))


def write_scores(path, values, metric="harm", unparsable=0):
    """scores.parquet of runs: `values` maps (model, sampler, n) to the runs' values, each the score of four prompts."""
    benchmark, judge = BENCHMARKS[metric]
    runs = [
        {"model": model, "pool": "-" if sampler == "as-is" else "p", "sampler": sampler, "n": n, "trial": trial}
        | {"benchmark": benchmark, "judge": judge, "prompt_id": f"prompt-{prompt}", "category": prompt}
        | {"score": None if prompt >= 4 else float(value)}
        | {"answer_status": "unparsable" if prompt >= 4 else "parsed", "finish_reason": "stop"}
        | {"prompt_tokens": 5, "response_tokens": 7}
        for (model, sampler, n), trials in values.items()
        for trial, value in enumerate(trials)
        for prompt in range(4 + unparsable)
    ]
    schemas.write(path, pd.DataFrame(runs).astype({"category": "Int8", "score": float}), schemas.SCORES)
    return [str(path)]


def grid_of(value=1.0):
    """Three trials in every cell of Tables 1 and 2: `value` + 0.1 per row of the table + the trial's 0, 0.1, 0.2."""
    return {
        ("m", sampler, n): [value + 0.1 * row + 0.1 * trial for trial in range(3)]
        for row, sampler in enumerate(PAPER)
        for n in N
    }


def grid_lines(text):
    """The cells of a Markdown table, header first, without the line of dashes."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("|:")]


def test_table_1_has_the_papers_rows_and_columns(tmp_path):
    values = grid_of() | {("m", "none", 0): [2.0, 2.0, 2.0], ("m", "as-is", 0): [3.0]}
    table = table1.table(options("tables/table1"), write_scores(tmp_path / "s", values))
    header, *body = grid_lines(to_markdown(table))
    assert header == ["Sampler", "0", "50", "100", "1000"]
    assert [row[0] for row in body] == [
        "As it is (not fine-tuned)",
        "No safety data",
        "Random Sampling (Baseline)",
        "Cossim",
        "SSS",
        "PSS",
        "Random-B",
        "Cossim-B",
        "SSS-B",
        "PSS-B",
    ]
    assert body[0][1:] == ["3.00", "", "", ""] and body[1][1:] == ["2.00 ± 0.00", "", "", ""]
    # 4.3027 * 0.1 / sqrt(3) = 0.2484
    assert body[3][1:] == ["", *["1.20 ± 0.25"] * 3]


def test_only_the_lowest_of_a_column_is_bold(tmp_path):
    values = grid_of() | {("m", "sss-b", 100): [0.5, 0.5, 0.5], ("m", "none", 0): [0.1, 0.1, 0.1]}
    table = table1.table(options("tables/table1"), write_scores(tmp_path / "s", values))
    bold = [(row[0].text, cell.text) for row in table.rows for cell in row if cell.best]
    random = "Random Sampling (Baseline)"
    assert bold == [(random, "1.10 ± 0.25"), (random, "1.10 ± 0.25"), ("SSS-B", "0.50 ± 0.00")]
    assert "**0.50 ± 0.00**" in to_markdown(table) and r"\textbf{0.50 $\pm$ 0.00}" in to_tex(table)
    best = table.data[table.data["best"]]
    assert list(zip(best["sampler"], best["n"], strict=True)) == [("random", 50), ("random", 1000), ("sss-b", 100)]


def test_bold_are_the_best_and_its_ties_and_none_if_nothing_is_decided(tmp_path):
    clear = {("m", "random", 50): [1.2, 0.9, 1.1], ("m", "sss", 50): [1.3, 1.0, 0.9], ("m", "pss", 50): [3.0, 3.2, 3.1]}
    close = {("m", "random", 100): [1.2, 0.9, 1.1], ("m", "sss", 100): [1.3, 1.0, 0.8], ("m", "pss", 100): [1.0] * 3}
    alone = {("m", "sss", 1000): [1.0]}
    table = table1.table(options("tables/table1"), write_scores(tmp_path / "s", clear | close | alone))
    best = table.data[table.data["best"]]
    assert list(zip(best["sampler"], best["n"], strict=True)) == [("random", 50), ("sss", 50)]
    # One run each: nothing is known of how runs differ.
    once = {("m", "random", 50): [1.0], ("m", "sss", 50): [3.0]}
    table = table1.table(options("tables/table1"), write_scores(tmp_path / "t", once))
    assert not table.data["best"].any() and "its ties" in table.caption


def test_missing_cells_are_dashes_and_are_counted(tmp_path):
    values = {("m", "random", n): [1.0, 2.0] for n in N}
    grid = GRID | {"samplers": ["random", "pss-b", "k-center"]}
    table = table1.table(options("tables/table1", experiment=grid), write_scores(tmp_path / "s", values))
    _, random, *others = grid_lines(to_markdown(table))
    assert others == [["PSS-B", "—", "—", "—"], ["k-center", "—", "—", "—"]] and "—" not in random
    assert any("(6 of them)" in note for note in table.notes)
    assert "---" in to_tex(table) and "—" not in to_tex(table)


def test_table_1_csv_is_long_and_counts_by_cell(tmp_path):
    table = table1.table(options("tables/table1"), write_scores(tmp_path / "s", grid_of(), unparsable=2))
    assert list(table.data.columns) == [
        *["sampler", "n", "mean", "sd", "se", "low_t", "high_t", "low_two_way", "high_two_way", "two_way_over"],
        *["trials", "judged", "unparsable", "too_long", "truncated", "best"],
    ]
    assert len(table.data) == len(PAPER) * len(N)
    row = table.data.iloc[0]
    assert (row["sampler"], row["n"], row["trials"], row["judged"], row["unparsable"]) == ("random", 50, 3, 12, 6)
    assert row["mean"] == pytest.approx(1.1) and row["high_t"] - row["mean"] == pytest.approx(0.248414, abs=1e-6)
    assert any("144 of 432 judge answers" in note for note in table.notes)


def test_table_2_is_a_percentage(tmp_path):
    values = {("m", "random", 50): [0.5, 0.5], ("m", "sss", 50): [0.25, 0.25]}
    table = table2.table(options("tables/table2"), write_scores(tmp_path / "s", values, "asr"))
    assert [row[1].text for row in table.rows[:3]] == ["50.00 ± 35.00", "—", "25.00 (4.56 to 69.94)"]
    assert "(%)" in table.caption and r"(\%)" in to_tex(table)


def test_the_lowest_attack_success_of_a_column_is_bold(tmp_path):
    values = {("m", "random", 50): [0.9, 0.8, 0.85], ("m", "sss", 50): [0.1, 0.12, 0.1]}
    table = table2.table(options("tables/table2"), write_scores(tmp_path / "s", values, "asr"))
    best = table.data[table.data["best"]]
    assert list(zip(best["sampler"], best["n"], strict=True)) == [("sss", 50)] and "Lower is better." in table.caption


def test_table_4_compares_samplers_within_a_model_and_n(tmp_path):
    values = {
        ("a", "random", 50): [2.0, 2.2],
        ("a", "sss-b", 50): [1.0, 1.2],
        ("b", "random", 50): [0.3, 0.5],
        ("b", "sss-b", 50): [0.9, 1.1],
        ("a", "random", 100): [1.0, 1.0],
    }
    grid = {"models": ["b", "a"], "pools": ["p"], "samplers": ["random", "sss-b"], "n": [50, 100], "trials": 2}
    labels = {"a": "Model A"}
    table = table4.table(
        options("tables/table4", experiment=grid, model_labels=labels), write_scores(tmp_path / "s", values)
    )
    assert grid_lines(to_markdown(table)) == [
        ["n", "Sampler", "b", "Model A"],
        ["50", "Random", "**0.40 ± 1.27**", "2.10 ± 1.27"],
        ["50", "SSS-B", "1.00 ± 1.27", "**1.10 ± 1.27**"],
        ["100", "Random", "—", "1.00 ± 0.00"],
        ["100", "SSS-B", "—", "—"],
    ]


def test_table_5_tells_forgetting_from_never_having_learnt(tmp_path):
    parts = []
    for metric, scale in (("harm", 1.0), ("asr", 0.1), ("over_refusal", 0.05)):
        values = {("base", "as-is", 0): [3.0], ("base", "none", 0): [2.0, 2.4], ("chat", "as-is", 0): [0.2]}
        values |= {("chat", "none", 0): [1.2, 1.2], ("chat", "random", 50): [0.1]}
        scaled = {key: [scale * value for value in trials] for key, trials in values.items()}
        parts.append(pd.read_parquet(write_scores(tmp_path / metric, scaled, metric)[0]))
    schemas.write(tmp_path / "all", pd.concat(parts, ignore_index=True), schemas.SCORES)
    grid = {"models": ["base", "chat"], "pools": ["p"], "samplers": ["none"], "n": [50], "trials": 2}
    judges = STUDY["judges"] | {"helpfulness": "helpful-rm"}
    table = table5.table(options("tables/table5", experiment=grid, judges=judges), [str(tmp_path / "all")])
    lines = grid_lines(to_markdown(table))
    assert lines[0][:2] == ["Model", "State"] and len(lines) == 5
    assert [line[:3] for line in lines[1:]] == [
        ["base", "As it is (not fine-tuned)", "3.00"],
        ["base", "No safety data", "2.20 ± 2.54"],
        ["chat", "As it is (not fine-tuned)", "0.20"],
        ["chat", "No safety data", "1.20 ± 0.00"],
    ]
    assert lines[1][3] == "30.00" and lines[1][5] == "—", "helpfulness was not measured here"
    assert "random" not in set(table.data["sampler"])


def test_captions_say_what_stands_for_what(tmp_path):
    paths = write_scores(tmp_path / "s", {("m", "random", 50): [1.0, 2.0], ("m", "sss", 50): [1.0]})
    text = to_markdown(table1.table(options("tables/table1"), paths))
    assert "Model M" in text and "95 % interval over 2 trials, none where there is one trial" in text
    assert "The harm judge is a stand-in." in text and "`mini` is a synthetic study" in text
    assert r"\texttt{mini} is a synthetic study" in to_tex(table1.table(options("tables/table1"), paths))
    real = to_markdown(table1.table(options("tables/table1", synthetic=False, stand_ins={}), paths))
    assert "synthetic" not in real and "stand-in" not in real


def test_no_run_at_all_is_an_error(tmp_path):
    paths = write_scores(tmp_path / "s", {("m", "none", 0): [1.0], ("other", "random", 50): [1.0]})
    with pytest.raises(BallastError, match="no run of table 1's experiment"):
        table1.table(options("tables/table1"), paths)


WORDS = "Paint the & fence_blue | with {care} today"


@pytest.fixture
def pool(tmp_path):
    """Labels and pool with two T1, one T2, one T3, no T4 and one unknown row."""
    kinds = ["T1", "T1", "T2", "T3", "unknown"]
    ids = [f"{row:016x}" for row in range(len(kinds))]
    labels = pd.DataFrame({"id": ids, "behaviour": kinds, "reason": "", "judge": "wildguard"})
    texts = [f"{WORDS} {row}" for row in range(len(kinds))]
    pairs = pd.DataFrame({"id": ids, "instruction": texts, "input": "colour chart", "output": "Gladly. " * 90})
    schemas.write(tmp_path / "labels.parquet", labels, schemas.BEHAVIOUR)
    schemas.write(tmp_path / "pool.parquet", pairs, schemas.PAIRS)
    return [str(tmp_path / "labels.parquet"), str(tmp_path / "pool.parquet")]


def test_table_3_shows_one_row_of_each_behaviour(pool):
    table = table3.table(options("tables/table3"), pool)
    assert [row[0].text[:2] for row in table.rows] == ["T1", "T2", "T3", "T4"]
    assert table.rows[3][1].text == "no such row in the pool"
    assert table.rows[1][1].text == f"{WORDS} 2 colour chart" and table.rows[1][3].text == f"{2:016x}"
    assert len(table.rows[1][2].text) <= table3.EXCERPT + 2 and table.rows[1][2].text.endswith("Gladly. …")
    assert "1 of 5 rows are unknown" in table.caption and list(table.data["rows"]) == [2, 1, 1, 0]


def test_table_3_chooses_the_same_row_in_any_order(pool, tmp_path):
    backwards = pd.read_parquet(pool[0]).iloc[::-1].reset_index(drop=True)
    schemas.write(tmp_path / "backwards.parquet", backwards, schemas.BEHAVIOUR)
    other = table3.table(options("tables/table3"), [str(tmp_path / "backwards.parquet"), pool[1]])
    assert to_markdown(other) == to_markdown(table3.table(options("tables/table3"), pool))


def test_redacted_table_3_holds_no_word_of_a_text(pool):
    table = table3.table(options("tables/table3", redact=True), pool)
    everything = to_markdown(table) + to_tex(table) + table.data.to_csv()
    for word in re.findall(r"[A-Za-z]{4,}", f"{WORDS} colour chart Gladly"):
        assert word.lower() not in everything.lower(), word
    assert "redacted, 720 characters" in everything and f"{2:016x}" in everything


def test_labels_of_another_pool_are_refused(pool, tmp_path):
    pairs = pd.read_parquet(pool[1]).iloc[1:]
    schemas.write(tmp_path / "other.parquet", pairs, schemas.PAIRS)
    with pytest.raises(BallastError, match="0000000000000000 is not in"):
        table3.table(options("tables/table3"), [pool[0], str(tmp_path / "other.parquet")])


def test_text_is_not_markup():
    assert markdown("a | b\nc <d> *e* f_g `h` [i]") == r"a \| b c \<d\> \*e\* f\_g \`h\` \[i\]"
    assert tex("50 % of $x_1 & {y} # ~ ^ \\z") == (
        r"50 \% of \$x\_1 \& \{y\} \# \textasciitilde{} \textasciicircum{} \textbackslash{}z"
    )


def test_excerpt_ends_after_a_word():
    assert table3.excerpt("one two") == "one two"
    assert table3.excerpt("word " * 100) == "word " * 60 + "…"


def test_headline_names_samplers_with_significantly_less_harm(tmp_path):
    harm = grid_of() | {("m", "sss-b", 100): [0.5, 0.7], ("m", "none", 0): [2.0, 2.2], ("m", "as-is", 0): [3.0]}
    attacks = {("m", "sss-b", 100): [0.1, 0.1], ("m", "random", 100): [0.25, 0.25], ("m", "none", 0): [0.0, 0.0]}
    parts = [pd.read_parquet(write_scores(tmp_path / m, v, m)[0]) for m, v in (("harm", harm), ("asr", attacks))]
    schemas.write(tmp_path / "both", pd.concat(parts, ignore_index=True), schemas.SCORES)
    lines = headline(options("headline"), str(tmp_path / "both")).splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("Ballast, study mini: look in results/mini/")
    assert lines[1] == "Harm of Model M, as it is (not fine-tuned): 3.00"
    assert lines[2] == "Harm after fine-tuning without safety data: 2.10 ± 1.27"
    said = "Harm with n = 100: Random 1.10 ± 0.25. Significantly less after Holm's correction for 21 comparisons: "
    assert lines[3].startswith(said)
    assert "SSS-B -0.45 (" in lines[3] and lines[3].count("-") == 4
    rates = re.findall(r"[\w ]+ (\d+\.\d) \((\d+\.\d) to (\d+\.\d)\) %", lines[4])
    assert [float(mean) for mean, _, _ in rates] == [10.0, 25.0, 0.0]
    assert all(float(low) <= float(mean) < float(high) <= 100 for mean, low, high in rates), "0 of k is no 0.0 ± 0.0"
    assert lines[5].count("not measured") == 3 and "synthetic" in lines[6]


@pytest.mark.parametrize("seed", range(10))
def test_headline_of_a_study_without_differences_never_has_a_gain(seed, tmp_path):
    draw = np.random.default_rng(seed)
    values = {("m", sampler, n): (1 + draw.normal(0, 0.3, 3)).tolist() for sampler in PAPER for n in N}
    line = headline(options("headline"), write_scores(tmp_path / "s", values)[0]).splitlines()[3]
    assert "No sampler has significantly less" in line and "after Holm's correction for 21 comparisons" in line
    trials = re.search(r"if that is the true difference, (more than )?\d[\d,]* trials would show it", line)
    assert trials or "tables/contrasts.md has every n" in line


def test_headline_without_a_second_run_compares_nothing(tmp_path):
    values = {("m", "random", 100): [1.0], ("m", "sss", 100): [0.5]}
    lines = headline(options("headline"), write_scores(tmp_path / "s", values)[0]).splitlines()
    said = "no sampler shares two trials with it, so no difference has a p-value."
    assert lines[3] == f"Harm with n = 100: Random 1.00; {said}"
    lines = headline(options("headline"), write_scores(tmp_path / "s", {("m", "random", 100): [1.0]})[0]).splitlines()
    assert lines[3].startswith("Harm with n = 100: Random 1.00; no sampler") and "Random not measured" in lines[4]


def test_headline_says_where_less_harm_is_known_at_another_n(tmp_path):
    values = grid_of() | {("m", "sss-b", 1000): [0.5, 0.7, 0.6]}
    line = headline(options("headline"), write_scores(tmp_path / "s", values)[0]).splitlines()[3]
    assert "No sampler has significantly less here" in line and line.endswith("tables/contrasts.md has every n.")


def run_script(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(SCRIPTS / name), run_name="__main__")


def test_scripts_write_the_same_bytes_twice(tmp_path, monkeypatch):
    scores = write_scores(tmp_path / "s", grid_of())[0]
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        outputs = [part for kind in ("csv", "md", "tex") for part in (f"--out-{kind}", folder / f"table.{kind}")]
        common = ("--options", json.dumps(STUDY))
        run_script(monkeypatch, "table.py", "--name", "table1", *common, "--inputs", scores, *outputs)
        run_script(monkeypatch, "headline.py", *common, "--scores", scores, "--out", folder / "headline.txt")
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == ["headline.txt", "table.csv", "table.md", "table.tex"]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
