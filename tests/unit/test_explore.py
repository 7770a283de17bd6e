"""explore.html: each response beside its score, no word where redacted, nothing that could run, stable bytes."""

import html.parser
import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from helpers.explored import METRICS, NASTY, options, row, write_page, write_results

import ballast
from ballast.explore import data, page
from ballast.files import BallastError

SCRIPTS = Path(ballast.__file__).parents[1]
RUNS = {
    "m/as-is": [row(number, "Mix flour with water.", 3.25) for number in range(3)],
    "m/p/none/n0/t0": [row(number, "Mix flour with water.", 2.5) for number in range(3)],
    "m/p/random/n7/t0": [row(number, "No.", 2.0) for number in range(3)],
    "m/p/random/n14/t0": [row(number, "No.", 1.0) for number in range(3)],
    "m/p/random/n14/t1": [row(number, "Not today.", 1.0) for number in range(3)],
    "m/p/sss/n14/t0": [row(number, "No.", 0.5) for number in range(3)],
    "m/p/pss-b/n14/t0": [row(number, f"No {number}.", 0.25) for number in range(3)],
    "m/p/pss-b/n42/t0": [row(number, f"No {number}.", 4.0) for number in range(3)],
}


def collect(folder, runs, characters=data.CHARACTERS, **changed):
    results = write_results(folder, runs)
    return data.collect(options(runs, **changed), str(results), str(results / "scores.parquet"), characters)


def read_back(found, run, number):
    """Prompt id, prompt, response and score of one place, spelled out."""
    part = found["runs"][run]["parts"][0]
    text = lambda place: found["texts"][place] if place is not None and place >= 0 else place  # noqa: E731
    response, score = text(part["responses"][number]), part["scores"]["harm"][number]
    return found["ids"][number], text(found["prompts"][number]), response, score


def test_each_response_stands_beside_its_own_prompt_and_score(tmp_path):
    runs = {
        "m/p/random/n7/t0": [row(number, f"No {number}.", number / 8) for number in (5, 3, 9)],
        "m/p/sss/n7/t0": [row(number, f"Yes {number}.", number / 4) for number in (9, 5, 3)],
    }
    found = collect(tmp_path, runs)
    wanted = {row(number, "")["id"]: (row(number, "")["prompt"], number) for number in (3, 5, 9)}
    assert found["ids"] == sorted(wanted)
    for place, one in enumerate(found["ids"]):
        prompt, number = wanted[one]
        assert read_back(found, 0, place) == (one, prompt, f"No {number}.", round(number / 8, 3))
        assert read_back(found, 1, place) == (one, prompt, f"Yes {number}.", number / 4)


def test_a_metric_beyond_the_four_stands_beside_them(tmp_path):
    section = {"benchmark": "i-alpaca", "judge": "helpful-rm", "label": "Wins", "unit": "%", "factor": 100.0}
    others = {"better": section | {"direction": "higher"}}
    runs = {"m/p/random/n7/t0": [row(number, "Yes.", number / 2, benchmark="i-alpaca") for number in (0, 1)]}
    found = collect(tmp_path, runs, metrics=METRICS | others)
    assert [metric["name"] for metric in found["metrics"]] == [*METRICS, "better"]
    shown = found["metrics"][-1]
    assert (shown["label"], shown["judge"], shown["lower"], "at" in shown) == ("Wins", "helpful-rm", False, False)
    assert sorted(found["runs"][0]["parts"][0]["scores"]["better"]) == [0, 0.5]
    assert "Wins: judge helpful-rm on i-alpaca; no verdict, a number alone." in found["notes"]


def test_a_text_that_many_runs_gave_stands_once(tmp_path):
    found = collect(tmp_path, RUNS)
    assert sorted(text for text in found["texts"] if "bread" not in text) == sorted(
        {"Mix flour with water.", "No.", "Not today.", "No 0.", "No 1.", "No 2."}
    )


def test_what_was_not_read_and_what_was_not_asked_are_told_apart(tmp_path):
    runs = {
        "m/p/random/n7/t0": [row(1, "a", "unparsable"), row(2, "b", "too long"), row(3, "c", 0.0)],
        "m/p/sss/n7/t0": [row(1, "", 1.0, finish_reason="length"), row(4, "d", 1.0, benchmark="xstest")],
    }
    found = collect(tmp_path, runs)
    first, second = found["runs"][0]["parts"][0], found["runs"][1]["parts"][0]
    by_id = dict(zip(found["ids"], zip(first["responses"], first["scores"]["harm"], strict=False), strict=False))
    assert [by_id[row(number, "")["id"]][1] for number in (1, 2, 3)] == ["unparsable", "too long", 0]
    at = found["ids"].index(row(1, "")["id"])
    assert (
        second["responses"].count(None) == 2
        and second["responses"][at] >= 0
        and second["cut"] == [at]
        and not first["cut"]
    )
    assert [score is None for score in second["scores"]["harm"]].count(True) == 2
    assert [part["benchmark"] for part in found["runs"][0]["parts"]] == [0], "random was not asked of xstest"


def test_columns_at_first_are_the_references_random_and_the_best_at_the_middle_n(tmp_path):
    found = collect(tmp_path, RUNS)
    (view,) = found["views"]
    names = [found["runs"][place]["path"] for place in view["columns"]]
    # The best of all is at n = 42 the worst, and the middle n is 14.
    assert names == ["m/as-is", "m/p/none/n0/t0", "m/p/random/n14/t0", "m/p/pss-b/n14/t0"]
    assert [found["runs"][place]["path"] for place in view["runs"]] == [
        *("m/as-is", "m/p/none/n0/t0", "m/p/random/n7/t0", "m/p/random/n14/t0", "m/p/random/n14/t1"),
        *("m/p/sss/n14/t0", "m/p/pss-b/n14/t0", "m/p/pss-b/n42/t0"),
    ], "as the paper's rows stand"


def test_a_pool_without_base_data_alone_borrows_it_and_picks_by_what_was_measured(tmp_path):
    attack = {"benchmark": "salad-attack"}
    runs = {
        "m/p/none/n0/t0": [row(1, "a", 1.0)],
        "m/p/random/n7/t0": [row(1, "a", 1.0)],
        "m/q/random/n7/t0": [row(2, "a", 1.0, **attack)],
        "m/q/t1/n7/t0": [row(2, "b", 0.0, **attack)],
        "other/as-is": [row(1, "c", 1.0)],
    }
    found = collect(tmp_path, runs)
    shown = {
        (view["model"], view["pool"]): [found["runs"][place]["path"] for place in view["columns"]]
        for view in found["views"]
    }
    assert shown == {
        ("m", "p"): ["m/p/none/n0/t0", "m/p/random/n7/t0"],
        ("m", "q"): ["m/p/none/n0/t0", "m/q/random/n7/t0", "m/q/t1/n7/t0"],
        ("other", "-"): ["other/as-is"],
    }


def test_redacted_holds_no_word_of_any_text_but_lengths_and_ids(tmp_path):
    secret, told = "unspeakable petition", "unutterable reply"
    runs = {"m/p/random/n7/t0": [row(1, told, 3.0, prompt=secret), row(2, NASTY, 1.0)]}
    text = write_page(tmp_path, runs, redact=True).read_text()
    for word in (*secret.split(), *told.split(), "bake", "bread", "window.ran"):
        assert word not in text, word
    found = json.loads(re.search(r'id="data">(.*)</script>\n<script>', text)[1])
    assert found["texts"] == [] and row(1, "", prompt=secret)["id"] in found["ids"]
    place = found["ids"].index(row(1, "", prompt=secret)["id"])
    assert found["prompts"][place] == -1 - len(secret)
    assert found["runs"][0]["parts"][0]["responses"][place] == -1 - len(told)
    assert found["runs"][0]["parts"][0]["scores"]["harm"][place] == 3
    assert "Redacted" in text and "unspeakable" in write_page(tmp_path / "open", runs).read_text()


def test_a_study_that_does_not_ask_for_texts_is_redacted():
    from ballast.study.config import Study

    assert Study.model_fields["redact"].default is True
    with pytest.raises(TypeError, match="redact"):
        data.PageOptions(study="s", synthetic=False, runs=[], metrics=METRICS, model_labels={})


def test_too_many_texts_leave_whole_prompts_without_theirs_and_keep_scores(tmp_path):
    runs = {
        path: [row(number, "x" * 50, float(number)) for number in range(4)]
        + [row(number, "y" * 50, 0.0, benchmark="xstest") for number in (8, 9)]
        for path in ("m/p/random/n7/t0", "m/p/sss/n7/t0")
    }
    # A prompt has 22 characters, and two answers of 50; ranks 0 and 1 are of both benchmarks.
    found = collect(tmp_path, runs, characters=5 * 122 - 1)
    assert found["kept"] == 2 and any("first 2 prompts" in note for note in found["notes"])
    harm, refusal = found["runs"][0]["parts"]
    assert [place >= 0 for place in harm["responses"]] == [True, True, False, False] and harm["responses"][2] == -51
    assert [place >= 0 for place in refusal["responses"]] == [True, True] and None not in harm["scores"]["harm"]
    assert [place >= 0 for place in found["prompts"]] == [True, True, False, False, True, True]
    assert collect(tmp_path, runs, characters=5 * 122)["kept"] == 3
    assert not any("fit into one file" in note for note in collect(tmp_path, runs)["notes"])


class Elements(html.parser.HTMLParser):
    """The start tags of a page, as a parser of HTML finds them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_no_text_can_end_its_block_or_become_an_element(tmp_path):
    plain = write_page(tmp_path / "plain", {"m/p/random/n7/t0": [row(1, "plain", 1.0)]}).read_text()
    runs = {"m/p/random/n7/t0": [row(1, NASTY, 1.0, prompt=NASTY)]}
    nasty = write_page(tmp_path / "nasty", runs, study="</title><b>").read_text()
    tags = [tag for tag, _ in Elements(nasty).found]
    assert tags == [tag for tag, _ in Elements(plain).found] and tags.count("script") == 2
    block = re.search(r'id="data">(.*)</script>\n<script>', nasty)[1]
    assert not re.search("[<>&\u2028\u2029\u0000]", block)
    assert json.loads(block)["texts"] == [NASTY]


def test_only_the_pages_own_script_and_style_may_run_and_nothing_is_fetched(tmp_path):
    text = write_page(tmp_path, RUNS).read_text()
    policy = next(given["content"] for tag, given in Elements(text).found if tag == "meta" and "content" in given)
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
    style = re.search(r"<style>(.*)</style>", text, re.DOTALL)[1]
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert page._source(script) in policy and page._source(style) in policy
    assert not re.search(r"https?://|@import|url\(", script + style)
    assert not any(key in ("src", "href", "onclick", "style") for _, given in Elements(text).found for key in given)


def test_the_same_results_give_the_same_bytes(tmp_path):
    first = write_page(tmp_path / "first", RUNS).read_bytes()
    again = {path: rows[::-1] for path, rows in RUNS.items()}
    assert write_page(tmp_path / "second", again).read_bytes() == first


def test_a_score_of_a_prompt_that_was_not_answered_is_an_error(tmp_path):
    write_results(tmp_path, {"m/p/random/n7/t0": [row(1, "a", 1.0), row(2, "b", 1.0)]})
    scores = (tmp_path / "scores.parquet").read_bytes()
    runs = {"m/p/random/n7/t0": [row(1, "a", 1.0)]}
    write_results(tmp_path, runs)
    (tmp_path / "scores.parquet").write_bytes(scores)
    with pytest.raises(BallastError, match=r"m/p/random/n7/t0 has a score of prompt .* run the study again"):
        data.collect(options(runs), str(tmp_path), str(tmp_path / "scores.parquet"))


def test_the_program_writes_the_page_and_says_its_size(tmp_path, monkeypatch, capsys):
    results = write_results(tmp_path, RUNS)
    given = json.dumps(vars(options(RUNS)))
    arguments = [
        "--results",
        results,
        "--options",
        given,
        "--scores",
        results / "scores.parquet",
        "--out",
        tmp_path / "o.html",
    ]
    monkeypatch.setattr(sys, "argv", ["explore.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPTS / "explore.py"), run_name="__main__")
    assert (tmp_path / "o.html").read_text() == write_page(tmp_path / "again", RUNS).read_text()
    said = capsys.readouterr().err
    assert "3 prompts, 8 runs" in said and "bread" not in said
