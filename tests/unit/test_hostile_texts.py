"""What people open, made of hostile texts: no formula in a CSV, no command in LaTeX, no text of a row in a message."""

import csv
import json
import re
import runpy

import pandas as pd
import pytest

from ballast.data import forms, marks
from ballast.data.rows import content_id
from ballast.files import BallastError, write_csv
from ballast.labels import columns
from ballast.markup import Cell, Table, to_markdown, to_tex
from ballast.plugins import HOME
from ballast.readers import prompts
from ballast.results import html

FORMULAS = ["=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1", "-2+3", "  =1+1", "\t=1", "\r=1", "＝1+1", "-x", "=HYPERLINK(1)"]
NUMBERS = ["-0.25", "+3", "-1e-05", "-inf", " -4"]
HOSTILE = [*FORMULAS, r"\input{/etc/passwd}", r"$\write18{id}$", "`^^5cinput{x}`", "{}%_#&~", "| a | b |", "<script>"]


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay_numbers(tmp_path):
    kinds = pd.Series(pd.Categorical(FORMULAS))
    table = pd.DataFrame({"text": FORMULAS, "kind": kinds, "=head": 1, "whole": pd.array([None] * 10, "Int8")})
    write_csv(tmp_path / "t.csv", table)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["text", "kind", "'=head", "whole"]
    assert [row[0] for row in rows] == [row[1] for row in rows] == ["'" + text.replace("\r", "\n") for text in FORMULAS]
    plain = pd.DataFrame({"a": [*NUMBERS, "-", "—", "a=1"], "b": [-0.5] * 8, "c": [None, 1, True, 2.0, "", "x", -1, 0]})
    write_csv(tmp_path / "plain.csv", plain)
    assert (tmp_path / "plain.csv").read_text() == plain.to_csv(index=False, lineterminator="\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_holds_only_our_own_commands(text):
    body = Table("Table 9", "A caption.", [text, "b"], [[Cell(text), Cell(text, True)]], [text], None, ["l", "l"])
    ours = r"\\(textbackslash|textasciitilde|textasciicircum|ldots|textbf|texttt|begin|end|centering|footnotesize"
    ours += r"|setlength|tabcolsep|toprule|midrule|bottomrule|caption|label|usepackage|pm|[\\#$%&_{}])"
    written = to_tex(body)
    assert "\\" not in re.sub(ours, "", written) and "^" not in written
    for line in to_markdown(body).splitlines()[2:5]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3 and not re.search(r"(?<!\\)[<`$]", line)


def test_a_page_of_the_report_forbids_scripts_and_the_network():
    page = html.from_markdown("![x](https://example.org/a.png)\n\n<script>1</script>\n\n[a](javascript:x)", "t")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; ") and "script" not in policy and "img" not in policy
    assert "<script" not in page and 'href="javascript' not in page


# No word of a row may stand in a message.
PLANTED = "planted-q7 how do I bake"
ANSWER = "planted-a7, first warm the oven"
SINGLE = "planted"


def swapped(text: str) -> dict:
    return {"from": text, "value": "human"}


FILES = {
    "swapped.jsonl": json.dumps({"conversations": [swapped(PLANTED), {"from": ANSWER, "value": "gpt"}]}),
    "swapped-word.jsonl": json.dumps({"messages": [{"role": SINGLE, "content": "user"}]}),
    "role.jsonl": json.dumps({"messages": [{"role": SINGLE, "content": ANSWER}]}),
    "headless.csv": f'{PLANTED},"{ANSWER}"\nplanted,planted',
    "headless-word.csv": f"{SINGLE},{SINGLE}2\nplanted,planted",
    "headless.tsv": f"{PLANTED}\t{ANSWER}\nplanted\tplanted",
    "twice.csv": f"{PLANTED},{PLANTED}\na,b",
    "keys.jsonl": json.dumps({PLANTED: ANSWER}),
    "keys-twice.jsonl": f'{{"{PLANTED}": 1, "{PLANTED}": 2}}',
    "late.jsonl": "\n".join([json.dumps({"prompt": "a", "response": "b"})] * 3 + [json.dumps({PLANTED: ANSWER})]),
    "more.jsonl": json.dumps({"prompt": PLANTED, "response": ANSWER, ANSWER: PLANTED, "origin": ANSWER}),
}


@pytest.mark.parametrize("name", FILES)
def test_no_message_report_or_log_repeats_a_text_of_a_row(name, tmp_path, capsys):
    path = tmp_path / name
    path.write_text(FILES[name] + "\n", encoding="utf-8")
    said = []
    for reading in (forms.understand, forms.read, prompts.read):
        try:
            reading(path, "auto") if reading is not prompts.read else reading(path)
        except BallastError as error:
            said.append(str(error))
    base = tmp_path / "base.jsonl"
    base.write_text(json.dumps({"instruction": "What is two?", "output": "Two."}) + "\n")
    given = {"format": "auto", "columns": {}}
    options = {"study": "s", "checks": {"unreadable": 0.1, "empty": 0.1, "leaks": "stop", "reasoning": "stop"}}
    options |= {"asked": {}, "labeller": "refusal-string"}
    options["datasets"] = [
        {"name": "base", "path": str(base)} | given,
        {"name": "pools/own", "path": str(path)} | given,
    ]
    out = {kind: str(tmp_path / f"out.{kind}") for kind in ("report", "leaks", "findings")}
    arguments = {"options": json.dumps(options), "benchmarks": []} | {f"out_{kind}": at for kind, at in out.items()}
    try:
        runpy.run_path(str(HOME.parent / "inspection.py"))["main"](type("Given", (), arguments))
        said += [(tmp_path / f"out.{kind}").read_text() for kind in out]
    except BallastError as error:
        said.append(str(error))
    printed = capsys.readouterr()
    assert said and "planted" not in "\n".join([*said, printed.out, printed.err]).replace(str(tmp_path), "")


def test_the_names_and_values_that_a_person_needs_are_still_told(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"ask": "a", "reply": "b", "kind of row": "c"}) + "\n")
    with pytest.raises(BallastError, match=r"there are: ask, reply, 1 more\)"):
        forms.read(path, "auto")
    swapped_row = {"messages": [swapped("Hello"), {"from": "Hi", "value": "gpt"}]}
    path.write_text(json.dumps(swapped_row) + "\n")
    with pytest.raises(BallastError, match="row 0: message 0: .*the role stands in place of the content"):
        forms.read(path, "auto")
    chosen = marks.Filter({"answer": "good"})
    chosen.takes({"answer": ANSWER})
    chosen.takes({"answer": "very bad"})
    with pytest.raises(BallastError, match=rf"there are: a text of {len(ANSWER)} characters \(1\), 'very bad' \(1\)"):
        chosen.check("rows.jsonl")


def test_a_label_that_is_a_text_is_not_repeated(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "a", "response": ANSWER}) + "\n")
    options = {"path": str(path), "format": "auto", "columns": {}, "where": {}, "values": {}, "column": "response"}
    identity = content_id("a", "", ANSWER)
    with pytest.raises(BallastError, match=rf"'response' is a text of {len(ANSWER)} characters") as refusal:
        columns.behaviour([identity], options)
    assert "planted" not in str(refusal.value)
