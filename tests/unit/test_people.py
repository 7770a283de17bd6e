"""People label responses: the draw, the blinded sheet, bad sheets, the estimator, XSTest's real labels as the fill.

One file, since every test draws, fills and reads the same made study.
"""

import json
import math

import numpy as np
import pandas as pd
import pytest
from helpers.labelled import run, sheet_rows, write_filled

from ballast import schemas
from ballast.asking import judging
from ballast.files import BallastError
from ballast.labels import responses
from ballast.labels.responses import COLUMNS, draw, population, read_key, read_sheets
from ballast.names import MISSING
from ballast.results import people
from ballast.results.people import Labelled, alpha, wilson

CELL = {"model": "chat", "pool": "safety"}
RATE = {"unit": "%", "scale": None, "rule": False}
HARM = {"unit": "score", "scale": [0, 4], "rule": False}
REFUSAL = {"over_refusal": {"benchmark": "xstest", "judge": "refusal-string"} | RATE}


def scored(score, sampler="random", judge="refusal-string", benchmark="xstest", trial=0):
    """Scores of one run, in the columns of schemas.SCORES, by p000, p001, ...; None could not be read."""
    known = pd.DataFrame({"score": score, "prompt_id": [f"p{number:03}" for number in range(len(score))]})
    known = known.astype({"score": float})
    about = CELL | {"sampler": sampler, "n": 100, "trial": trial, "benchmark": benchmark, "judge": judge}
    status = known["score"].isna().map({True: "unparsable", False: "parsed"})
    more = {"category": None, "answer_status": status, "finish_reason": "stop", "prompt_tokens": 1}
    table = known.assign(**about, **more, response_tokens=1).astype({"category": "Int8"})
    return table[list(schemas.SCORES.columns)]


class Made:
    """A study's scores and responses on disk, and the two stages run on them."""

    def __init__(self, folder, monkeypatch, scores, sections, texts):
        self.folder, self.patch, self.sections = folder, monkeypatch, sections
        schemas.write(folder / "scores.parquet", scores, schemas.SCORES)
        for sampler, table in texts.items():
            path = folder / f"runs/chat/safety/{sampler}/n100/t0"
            path.mkdir(parents=True)
            known = {"category": None, "finish_reason": "stop", "prompt_tokens": 1, "response_tokens": 1}
            table = table.assign(**known, prompt_cut=False).astype({"category": "Int8"})
            schemas.write(path / "responses.parquet", table, schemas.RESPONSES)

    def draw(self, rows, seed=0):
        out = {"sheet": "responses.csv", "key": "key.csv", "guide": "guide.txt"}
        run(
            *("response_sheet", self.patch, "--results", self.folder, "--scores", self.folder / "scores.parquet"),
            *("--options", json.dumps({"metrics": self.sections}), "--rows", rows, "--seed", seed),
            *(f"--out-{name}={self.folder / file}" for name, file in out.items()),
        )
        return sheet_rows(self.folder / "responses.csv"), read_key(self.folder / "key.csv")

    def fill(self, name, answer):
        """Fill in a copy of the sheet; `answer` takes a row of the sheet."""
        rows = [row | {"answer": answer(row)} for row in sheet_rows(self.folder / "responses.csv")]
        return write_filled(self.folder / f"{name}.csv", rows, ";", COLUMNS)

    def report(self, **sheets):
        options = {"study": "made", "synthetic": False, "stand_ins": {}, "metrics": self.sections}
        run(
            *("people", self.patch, "--scores", self.folder / "scores.parquet", "--key", self.folder / "key.csv"),
            *("--options", json.dumps(options), "--annotations", *(f"{name}={path}" for name, path in sheets.items())),
            *("--out-csv", self.folder / "people.csv", "--out-md", self.folder / "people.md"),
        )
        return pd.read_csv(self.folder / "people.csv", dtype={"n": str}), (self.folder / "people.md").read_text()


def texts_of(count, word, benchmark="xstest"):
    ids = [f"p{number:03}" for number in range(count)]
    told = {"prompt": [f"request {number}" for number in range(count)]}
    return pd.DataFrame(
        {"benchmark": benchmark, "id": ids} | told | {"response": [f"{word} {number}" for number in range(count)]}
    )


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Two methods, 40 prompts each: the judge flags 10 of Random's and 20 of SSS-B's."""
    scores = pd.concat([scored([1] * 10 + [0] * 30), scored([1] * 20 + [0] * 20, "sss-b")])
    return Made(tmp_path, monkeypatch, scores, REFUSAL, {"random": texts_of(40, "one"), "sss-b": texts_of(40, "two")})


# ---- the draw and the sheet


def test_strata_are_bands_opinions_and_methods_and_probabilities_are_those_of_the_draw():
    harm = [0.2] * 40 + [1.5] * 6 + [2.5] * 3 + [3.9] * 10 + [None]
    second = [0] * 45 + [1] * 4 + [1] * 10 + [1]
    scores = pd.concat([scored(harm, judge="harm-rm", benchmark="b"), scored(second, judge="guard", benchmark="b")])
    section = {"harm": {"benchmark": "b", "judge": "harm-rm", "second": [{"judge": "guard"} | RATE]} | HARM}
    units = population(scores, section)
    # One of the scores of 1.5 is flagged by the second judge; all others agree, the unread one has no verdict.
    assert units["opinion"].value_counts().to_dict() == {"agree": 59, "differ": 1}
    assert units["band"].value_counts().to_dict() == {"0 to 1": 40, "1 to 2": 6, "2 to 3": 3, "3 to 4": 10, "unread": 1}
    drawn = draw(units, 30, 0)
    assert (
        len(drawn) == 30
        and drawn["stratum"].nunique() == 6
        and "harm | chat | safety | random | differ | 1 to 2" in set(drawn["stratum"])
    )
    sizes = drawn.groupby("stratum").agg(n=("drawn", "first"), rows=("drawn", "size"), size=("size", "first"))
    assert (sizes["n"] == sizes["rows"]).all() and sizes["size"].sum() == 60
    assert (sizes["n"] >= np.minimum(2, sizes["size"])).all(), "each stratum has a variance"
    assert np.allclose(drawn["probability"], drawn["drawn"] / drawn["size"])
    pd.testing.assert_frame_equal(drawn, draw(units.sample(frac=1, random_state=1).sort_index(), 30, 0))
    assert set(draw(units, 30, 1)["prompt_id"]) != set(drawn["prompt_id"])
    with pytest.raises(BallastError, match="annotation_responses: 4 gives harm 4, and its 3 verdicts need 2 each"):
        draw(units, 4, 0)


def test_a_short_sheet_merges_opinions_then_bands():
    harm = [0.2, 0.4, 1.5, 1.6, 2.5, 2.6, 3.1, 3.9] * 3
    scores = pd.concat([scored(harm, name, "harm-rm", "b") for name in ("random", "sss-b")])
    units = population(scores, {"harm": {"benchmark": "b", "judge": "harm-rm"} | HARM})
    assert draw(units, 16, 0)["stratum"].nunique() == 8
    assert sorted(set(draw(units, 15, 0)["stratum"])) == [
        f"harm | chat | safety | {name} | {flag}" for name in ("random", "sss-b") for flag in ("0.0", "1.0")
    ]


def test_the_sheet_shows_texts_and_a_question_and_nothing_of_the_study(made):
    rows, key = made.draw(30)
    assert len(rows) == len(key) == 30 and set(rows[0]) == set(COLUMNS)
    assert all(not row["answer"] and not row["notes"] and row["question"] == "refusal" for row in rows)
    sheet, guide = (made.folder / "responses.csv").read_text(), (made.folder / "guide.txt").read_text()
    for word in ("sss-b", "random", "safety", "chat", "xstest", "over_refusal", "refusal-string", "p00"):
        assert word not in sheet
    assert "request 1" not in (made.folder / "key.csv").read_text(), "the key has no text"
    assert all(column in guide for column in COLUMNS[1:])
    order = [row["id"] for row in rows]
    judged = key.set_index("id")["score"].loc[order].tolist()
    assert judged != sorted(judged) and judged != sorted(judged)[::-1], "no order by score"
    before = (made.folder / "responses.csv").read_bytes(), (made.folder / "key.csv").read_bytes()
    made.draw(30)
    assert before == ((made.folder / "responses.csv").read_bytes(), (made.folder / "key.csv").read_bytes())


def test_equal_texts_share_a_row(tmp_path, monkeypatch):
    scores = pd.concat([scored([1, 0] * 20), scored([1, 0] * 20, "sss-b")])
    same = texts_of(40, "one")
    study = Made(tmp_path, monkeypatch, scores, REFUSAL, {"random": same, "sss-b": same})
    rows, key = study.draw(80)
    assert (len(rows), len(key)) == (40, 80)
    table, _ = study.report(ann=study.fill("ann", lambda row: "yes" if int(row["response"].split()[1]) < 8 else "no"))
    assert table[(table["part"] == "rate") & (table["sampler"] == "sss-b")]["value"].item() == pytest.approx(8 / 40)


# ---- filled sheets


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "maybe"}, "row 3: 'answer' must be yes, no or unclear"),
        ({"id": ""}, "row 3: the id is missing"),
        ({"id": "00ab4567890123ef"}, "row 3: '00ab4567890123ef' is no id of the key"),
        ({"id": "a text of the sheet"}, "row 3: the text in 'id' is no id of the key"),
        ({"response": "other"}, "row 3: question, prompt and response are not those of"),
        ({"question": "harmful"}, "row 3: question, prompt and response are not those of"),
        ("twice", "row 32: '[0-9a-f]{16}' is in row 2 too"),
        ("empty", "no row has an answer"),
        ("header", "no row has an answer"),
    ],
)
def test_a_bad_sheet_is_one_line_with_its_row(made, change, message):
    rows, key = made.draw(30)
    rows = [row | {"answer": "yes"} for row in rows]
    if isinstance(change, dict):
        rows[1] |= change
    rows = {"twice": [*rows, rows[0]], "empty": [row | {"answer": ""} for row in rows], "header": []}.get(
        str(change), rows
    )
    path = write_filled(made.folder / "bad.csv", rows, columns=COLUMNS)
    with pytest.raises(BallastError, match=message) as error:
        read_sheets([("ann", str(path))], key)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))


def test_two_annotators_have_two_names_and_two_files(made):
    _, key = made.draw(30)
    one, two = (str(made.fill(name, lambda row: "yes")) for name in ("one", "two"))
    with pytest.raises(BallastError, match="two annotators have the name ann"):
        read_sheets([("ann", one), ("ann", two)], key)
    with pytest.raises(BallastError, match=f"two annotators have the file {one}"):
        read_sheets([("ann", one), ("bob", one)], key)


def test_every_drawn_response_is_counted_once(made):
    made.draw(30)
    ids = [row["id"] for row in sheet_rows(made.folder / "responses.csv")]
    said = dict(zip(ids, ["yes"] * 5 + ["no"] * 10 + ["unclear"] * 4 + [""] * 11, strict=True))
    path = made.fill("ann", lambda row: said[row["id"]])
    rows = [row for row in sheet_rows(path.rename(made.folder / "whole.csv")) if row]
    text = (made.folder / "whole.csv").read_text().splitlines()
    path.write_text("\n".join(text[:-3]) + "\n")  # three rows are not in the sheet at all
    assert rows
    table, page = made.report(ann=path)
    counts = table[table["part"] == "drawn"].set_index("about")["responses"].to_dict()
    assert counts == {"drawn": 30, "labelled": 15, "unclear": 4, "not answered": 11}
    answers = table[table["part"] == "answers"].set_index("other")["responses"].to_dict()
    assert answers == {"yes": 5, "no": 10, "unclear": 4, "not answered": 11} and "request" not in page


def test_scores_that_changed_after_the_draw_are_refused(made):
    made.draw(30)
    path = made.fill("ann", lambda row: "yes")
    other = pd.concat([scored([0] * 40), scored([1] * 20 + [0] * 20, "sss-b")])
    schemas.write(made.folder / "scores.parquet", other, schemas.SCORES)
    with pytest.raises(BallastError, match="key.csv: row 2: the study has no such response with this score"):
        made.report(ann=path)


# ---- annotators and kappa


def test_alpha_and_wilson_by_hand():
    # Krippendorff (2011), nominal data without missing answers: 10 units, 4 disagreements, alpha .095.
    one, two = list("0100000010"), list("1110010000")
    said = pd.DataFrame({"a": one, "b": two}).replace({"0": "no", "1": "yes"})
    assert alpha(said) == pytest.approx(0.095, abs=0.0005)
    # A unit with one answer pairs with nothing.
    assert alpha(pd.concat([said, pd.DataFrame({"a": ["yes"], "b": [None]})])) == pytest.approx(0.095, abs=0.0005)
    assert math.isnan(alpha(said.replace("no", "yes")))
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


def test_kappa_weighs_by_the_design():
    """Flagged responses are half of the labels and a tenth of the study, so errors there count a ninth."""
    units = population(scored([1] * 20 + [0] * 180), REFUSAL)
    drawn = draw(units.assign(flagged=units["flagged"]), 40, 0)
    label = drawn["score"].where(drawn.groupby("score").cumcount() >= 5, 1 - drawn["score"])  # five errors each
    found = people.against_judge(Labelled(units, drawn.drop(columns=["share", "flagged"]).assign(label=label)))
    n = drawn["score"].value_counts()
    right = 20 / 200 * (1 - 5 / n[1]) + 180 / 200 * (1 - 5 / n[0])
    assert found["agreement"] == pytest.approx(right)
    judge, both = 0.1, 0.1 * (1 - 5 / n[1])
    yes = both + 0.9 * 5 / n[0]
    chance = judge * yes + (1 - judge) * (1 - yes)
    assert found["kappa"] == pytest.approx((right - chance) / (1 - chance))
    assert found["kappa_low"] < found["kappa"] < found["kappa_high"]


# ---- the estimator


def test_intervals_cover_the_people_s_rate_and_the_contrast():
    """A judge that errs by method: its rate is off, the corrected one is right in 95 % of draws."""
    rng = np.random.default_rng(5)
    human = {name: rng.random(400) < rate for name, rate in (("random", 0.3), ("sss-b", 0.15))}
    errs = {"random": 0.05, "sss-b": 0.25}
    judged = {name: np.where(rng.random(400) < errs[name], ~said, said).astype(float) for name, said in human.items()}
    judged["random"][:10] = np.nan
    units = population(pd.concat([scored(said, name) for name, said in judged.items()]), REFUSAL)
    truth = pd.concat([pd.Series(said, [f"p{i:03}" for i in range(400)]) for said in human.values()], keys=human)
    ours, theirs = ({"sampler": name} | CELL for name in ("sss-b", "random"))
    met, raw = [], []
    for seed in range(30):
        drawn = draw(units, 160, seed).drop(columns=["share", "flagged"])
        label = truth.loc[list(zip(drawn["sampler"], drawn["prompt_id"], strict=True))].to_numpy(float)
        known = Labelled(units, drawn.assign(label=label))
        goal = [human["sss-b"].mean(), human["random"].mean()]
        found = [known.rate(ours), known.rate(theirs), known.difference(ours, theirs)]
        met.append(
            [
                low <= want <= high
                for (low, high), want in zip([one.interval for one in found], [*goal, goal[0] - goal[1]], strict=True)
            ]
        )
        raw.append(abs(found[2].judge - (goal[0] - goal[1])) > found[2].half)
    assert np.mean(met) >= 0.88 and not np.all(met)
    assert np.mean(raw) > 0.3, "the judge's own contrast is outside of the interval"


def test_no_error_among_few_labels_has_no_interval_of_length_0():
    units = population(scored([1] * 100 + [0] * 300), REFUSAL)
    drawn = draw(units, 60, 0).drop(columns=["share", "flagged"])
    found = Labelled(units, drawn.assign(label=drawn["score"])).rate({"sampler": "random"})
    assert found.people == pytest.approx(0.25) and 0.02 < found.half < 0.1
    assert 60 < found.needed < 400


def test_all_labels_give_the_people_s_own_rate(made):
    made.draw(80)
    path = made.fill("ann", lambda row: "yes" if row["response"].startswith("one") else "no")
    table, page = made.report(ann=path)
    rates = table[table["part"] == "rate"].set_index("sampler")
    assert rates["value"].to_dict() == pytest.approx({"random": 1, "sss-b": 0}, abs=1e-9)
    assert rates["bias"].to_dict() == pytest.approx({"random": -0.75, "sss-b": 0.5})
    assert (rates["high"] - rates["low"]).abs().max() < 1e-9, "every response is labelled, so nothing is estimated"
    contrast = table[table["part"] == "contrast"].iloc[0]
    assert (contrast["judge"], contrast["value"]) == pytest.approx((0.25, -1))
    assert "Each method minus Random" in page


def test_harm_is_calibrated_in_people_s_units(tmp_path, monkeypatch):
    """The score of harm is 0 to 4; people say yes from 3 up, the judge's middle is 2."""
    score = np.linspace(0, 4, 80)
    scores = scored(score, judge="harm-rm", benchmark="b")
    section = {"harm": {"benchmark": "b", "judge": "harm-rm"} | HARM}
    study = Made(tmp_path, monkeypatch, scores, section, {"random": texts_of(80, "text", "b")})
    rows, _ = study.draw(60)
    assert {row["question"] for row in rows} == {"harmful"}
    table, page = study.report(
        ann=study.fill("ann", lambda row: "yes" if score[int(row["response"].split()[1])] > 3 else "no")
    )
    bands = table[table["part"] == "calibration"].set_index("about")
    assert bands["value"].to_dict() == pytest.approx({"0 to 1": 0, "1 to 2": 0, "2 to 3": 0, "3 to 4": 1})
    assert (bands["low"] < bands["value"].clip(lower=1e-9)).all() and bands["responses"].tolist() == [20] * 4
    rate = table[table["part"] == "rate"].iloc[0]
    assert rate["judge"] == 0.5 and rate["low"] <= 0.25 <= rate["high"] and rate["bias_low"] > 0.1
    assert "People: harmful responses" in page


def test_too_few_labels_of_a_method_are_said(made):
    made.draw(16)
    table, page = made.report(ann=made.fill("ann", lambda row: "no"))
    rates = table[table["part"] == "rate"]
    assert rates["value"].isna().all() and rates["labelled"].tolist() == [8, 8] and (rates["needed"] > 20).all()
    assert f"| {MISSING} " in page


# ---- XSTest's real answers and people's labels of them


@pytest.fixture
def xstest(tmp_path, monkeypatch, data_dir):
    """GPT-4's answers to the 250 safe prompts as Random's run, Llama 2's as SSS-B's; the judge is the refusal rule."""
    tables, scores, texts = {}, [], {}
    for sampler, model in (("random", "gpt4"), ("sss-b", "llama2new")):
        table = pd.read_csv(data_dir / f"xstest/labels/xstest_v2_completions_{model}_gpteval.csv")
        table = table[~table["type"].str.startswith("contrast_")].reset_index(drop=True)
        assert len(table) == 250
        told = {"benchmark": "xstest", "id": [f"p{i:03}" for i in range(250)], "prompt": table["prompt"]}
        texts[sampler] = pd.DataFrame(told | {"response": table["completion"]})
        judged = judging.judge_pairs("refusal-string", texts[sampler], {}, None)["score"]
        scores.append(scored(judged.tolist(), sampler))
        tables[sampler] = table
    study = Made(tmp_path, monkeypatch, pd.concat(scores), REFUSAL, texts)
    every = pd.concat(tables.values()).assign(response=lambda known: known["completion"])
    study.labels = {
        column: dict(
            zip(zip(every["prompt"], every["response"], strict=True), every[column] == "2_full_refusal", strict=True)
        )
        for column in ("annotation_1", "annotation_2", "final_label")
    }
    study.rates = {name: (table["final_label"] == "2_full_refusal").mean() for name, table in tables.items()}
    return study


def by_people(study, column):
    known = {tuple(map(responses.plain, texts)): said for texts, said in study.labels[column].items()}

    def answer(row):
        texts = tuple(responses.plain(responses.unguarded(row[name])) for name in ("prompt", "response"))
        return "yes" if known[texts] else "no"

    return study.fill(column.replace("_", "-"), answer)


def test_xstest_s_people_correct_the_rule_s_over_refusal(xstest, capsys):
    """People say 6.4 % and 14.0 % full refusals; the rule flags more than twice as many."""
    assert xstest.rates == {"random": 0.064, "sss-b": 0.14}
    rows, _ = xstest.draw(300)
    assert 250 < len(rows) <= 300
    table, page = xstest.report(people=by_people(xstest, "final_label"))
    rates = table[table["part"] == "rate"].set_index("sampler")
    for sampler, truth in xstest.rates.items():
        one = rates.loc[sampler]
        assert one["low"] <= truth <= one["high"] and one["high"] - one["low"] < 0.1
        assert one["judge"] > one["high"] and one["bias_low"] > 0, (
            "the rule alone is off, and the page says by how much"
        )
    contrast = table[table["part"] == "contrast"].iloc[0]
    assert contrast["low"] <= 0.14 - 0.064 <= contrast["high"] and contrast["judge"] > contrast["value"]
    kappa = table[table["part"] == "kappa"].iloc[0]
    assert 0.3 < kappa["low"] < kappa["value"] < kappa["high"] < 0.8
    with capsys.disabled():
        print("\n" + rates[["judge", "value", "low", "high"]].round(3).to_string())
    assert not any(row["response"][:60] in page for row in rows if len(row["response"]) > 60)


def test_xstest_s_people_label_all_rows(xstest):
    xstest.draw(500)
    table, _ = xstest.report(people=by_people(xstest, "final_label"))
    rates = table[table["part"] == "rate"].set_index("sampler")
    assert rates["value"].to_dict() == pytest.approx(xstest.rates, abs=1e-9)


def test_xstest_s_two_annotators_agree(xstest):
    xstest.draw(500)
    table, page = xstest.report(first=by_people(xstest, "annotation_1"), second=by_people(xstest, "annotation_2"))
    found = table[table["part"] == "between annotators"]
    assert found["about"].tolist() == ["first", "all"] and (found["value"] > 0.85).all() and (found["value"] < 1).all()
    assert "ties between annotators" in page
