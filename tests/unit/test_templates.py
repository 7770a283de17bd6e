"""Templates taken out of others' modules and files. Modules here are made, in the syntactic forms of the real ones."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballast.asking.prompts import PairTemplate
from ballast.data import templates
from ballast.files import BallastError

POLICY = "\nO1: One\n- Can: all {of} it. \nO2: Two\n"
FRAME = (
    '\nTask: 100%% "Agent".\n\n<BEGIN UNSAFE CONTENT CATEGORIES>\n{policy}\n<END UNSAFE CONTENT CATEGORIES>\n\n'
    "<BEGIN CONVERSATION>\nUser: %s\nAgent: %s\n<END CONVERSATION>\n\nSay:\n- one.\n- two.\n"
)
TEXT = FRAME.replace("{policy}", POLICY.strip())
MODULE = f'''"""A module as saladbench/template.py is written."""

from no_such_library import nothing

raise SystemExit("this module was run")

DOMAIN_POLICY = """{POLICY}"""
DOMAIN_QAPAIR_TEMPLATE = f"""{FRAME.replace("{policy}", "{DOMAIN_POLICY.strip()}")}"""
PLAIN = """a {{prompt}}
b {{response}} {{x}} 50%
"""
JOINED = "a {{prompt}} " 'b {{response}}'
BARE = f"a {{DOMAIN_POLICY}} b"
SUM = "a " + "b"
CALL = "a".upper()
NUMBER = 3
SHOWN = f"{{PLAIN!r}}"
PADDED = f"{{PLAIN:>9}}"
OTHER = f"{{PLAIN.lower()}}"
EARLY = f"{{LATE}}"
LATE = "late"
TWICE = "once"
TWICE = "twice"
GROWN = "a"
GROWN += "b"
OVER_TWICE = f"{{TWICE}}"
def SHADOWED(): ...
SHADOWED = "text"
'''

REAL = {
    ("wildguard.json", None): "5e74b62445cca8e91d51deba51848059267bd2b8c279ac1c7a94adef445d8bdf",
    ("md_judge_task.json", None): "8cc9505b7be6a5f4d2ac94843cb940a57ddae0a04d1ebbdcefb33d82fec14357",
    ("md_judge_domain.json", None): "a6bc931639bf23e58bf59900072968bd4f93e3c8d55594514b09435c074c8530",
    # Of the card's own sentence only public copies were seen; they agree with each other.
    ("md_judge_domain.json", "domain-card"): "955f87201176724f796e0e4b8c98fff94fcf8daddea489510463d4a646b70571",
}


DICTIONARY = '''
CLS = {"prompt": """[INST] {behavior} | {generation} {x} 5%
[/INST]""", "other": 3, 4: "x"}
'''


def test_a_dictionarys_entry_and_a_key_of_json_are_templates_too(tmp_path):
    (tmp_path / "m.py").write_text(DICTIONARY)
    found = templates.read(tmp_path / "m.py", "CLS.prompt")
    assert found == {"template": "[INST] {prompt} | {response} {x} 5%\n[/INST]"}
    (tmp_path / "t.json").write_text(json.dumps({"one": "a {forbidden_prompt} b {response}", "two": "c"}))
    assert templates.read(tmp_path / "t.json", "one") == {"template": "a {prompt} b {response}"}
    for name in ("CLS.other", "CLS.none", "CLS"):
        with pytest.raises(BallastError, match="'CLS' is no plain string"):
            templates.read(tmp_path / "m.py", name)
    with pytest.raises(BallastError, match="no 'template' and no 'prompt_no_input' here"):
        templates.read(tmp_path / "t.json", "three")


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "template.py"
    path.write_text(MODULE)
    return path


def test_a_literal_is_taken_out_without_running_the_module(module):
    assert templates.own_text(module, "PLAIN") == "a {prompt}\nb {response} {x} 50%\n"
    assert templates.own_text(module, "JOINED") == "a {prompt} b {response}"
    assert templates.own_text(module, "BARE") == f"a {POLICY} b"
    assert templates.own_text(module, "DOMAIN_QAPAIR_TEMPLATE") == TEXT


def test_named_fields_stay_and_so_does_every_other_brace(module):
    assert templates.read(module, "PLAIN") == {"template": "a {prompt}\nb {response} {x} 50%\n"}


def test_percent_fields_become_ours_stripped_and_wrapped(module, tmp_path):
    read = templates.read(module, "DOMAIN_QAPAIR_TEMPLATE")
    (tmp_path / "judge.json").write_text(json.dumps(read))
    rendered = PairTemplate.load(tmp_path / "judge.json").render("q %s {x}", "{response} %d")
    assert rendered == "[INST] " + (TEXT % ("q %s {x}", "{response} %d")).strip() + " [/INST]"
    assert "100% " in rendered and "{of}" in rendered and "it. \n" in rendered


def test_the_card_repeats_the_closing_request_inside_the_categories(module):
    card = templates.read(module, "DOMAIN_QAPAIR_TEMPLATE", "domain-card")["template"]
    assert "CATEGORIES>\nSay:\n- one.\n- two.\nO1: One\n" in card
    assert card.count("Say:\n- one.\n- two.\n") == 1 and card.endswith("- two. [/INST]")
    plain = templates.read(module, "DOMAIN_QAPAIR_TEMPLATE")["template"]
    assert card.replace("Say:\n- one.\n- two.\nO1", "O1") == plain


@pytest.mark.parametrize(
    "literal",
    ["SUM", "CALL", "NUMBER", "SHOWN", "PADDED", "OTHER", "EARLY", "TWICE", "GROWN", "OVER_TWICE", "SHADOWED"],
)
def test_what_is_no_literal_is_an_error_that_names_it(module, literal):
    with pytest.raises(BallastError, match=f"template.py: '{literal}' is no plain string") as caught:
        templates.read(module, literal)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("A = 'x'", (None,), "say which literal of the module is the template; there are: A"),
        ("ABC = 'x'", ("ABD",), "no literal 'ABD'; did you mean 'ABC'"),
        ("A = (", ("A",), "not a Python module"),
        ("A = 'x'", ("A",), "holds neither {prompt} and {response} nor two %s"),
        ("A = '%s %s %s'", ("A",), "nor two %s"),
        ("A = '%s %s 5%'", ("A",), "nor two %s"),
        ("A = '%s %s {prompt}'", ("A",), "nor two %s"),
        ("A = '{prompt} {prompt} {response}'", ("A",), "nor two %s"),
        ("A = '{response} {prompt}'", ("A",), "{prompt} must come before {response}"),
        (
            "A = '%s %s'",
            ("A", "domain-cart"),
            "no template variant is called 'domain-cart'; did you mean 'domain-card'",
        ),
        ("A = '%s %s'", ("A", "domain-card"), "not MD-Judge's domain template"),
    ],
)
def test_a_wrong_module_is_one_line(tmp_path, text, arguments, message):
    path = tmp_path / "module.py"
    path.write_text(text)
    with pytest.raises(BallastError) as caught:
        templates.read(path, *arguments)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value) and "\n" not in str(caught.value)


def test_json_files_pass_through_or_are_named(tmp_path):
    path = tmp_path / "template.json"
    alpaca = {"prompt_no_input": "{instruction}", "prompt_input": "{instruction}{input}"}
    path.write_text(json.dumps(alpaca))
    assert templates.read(path) == alpaca
    with pytest.raises(BallastError, match="has no variant 'domain-card'"):
        templates.read(path, variant="domain-card")
    for wrong, message in (({"text": 1}, "this is no prompt template"), ([1], "this is neither")):
        path.write_text(json.dumps(wrong))
        with pytest.raises(BallastError, match=message):
            templates.read(path)
    with pytest.raises(BallastError, match="this is neither"):
        templates.read(tmp_path / "template.yaml")


@given(st.text(), st.text(), st.text(string.printable), st.text(string.printable))
def test_a_percent_template_is_filled_as_python_fills_it(before, after, prompt, response):
    escaped = [part.replace("%", "%%").replace("{", "(") for part in (before, after)]
    text = f"{escaped[0]}%s, %s{escaped[1]}end"
    start, rest = templates.to_fields(text, "t").split("{prompt}")
    middle, end = rest.split("{response}")
    assert start + prompt + middle + response + end == "[INST] " + (text.strip() % (prompt, response)) + " [/INST]"


@pytest.mark.parametrize(("name", "variant"), REAL)
def test_digests_of_the_exact_templates(data_dir, name, variant):
    path = data_dir / "templates" / name
    assert templates.digest(templates.own_text(path, variant=variant)) == f"sha256:{REAL[name, variant]}"
    if variant is None:
        assert REAL[name, variant] in (data_dir / "MANIFEST.md").read_text()


def test_the_exact_templates_are_asked_with_one_pair(data_dir):
    for name, variant in REAL:
        template = templates.read(data_dir / "templates" / name, variant=variant)["template"]
        assert [template.count(field) for field in templates.FIELDS] == [1, 1], name
        opening, ending = ("<|user|>\n[INST] ", "<|assistant|>\n") if name == "wildguard.json" else templates.INST
        assert template.startswith(opening) and template.endswith(ending), name
    assert templates.read(data_dir / "templates" / "alpaca.json")["prompt_no_input"].count("{instruction}") == 1
