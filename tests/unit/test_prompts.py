"""Templates, BOS, and what is cut."""

import json

import pytest

from ballast.asking.prompts import PairTemplate, PromptTemplate, prompt_ids, training_ids
from ballast.files import BallastError
from ballast.judges import harm_rm
from ballast.plugins import HOME
from ballast.study.sources import own_template


class Tokenizer:
    """A tokenizer of characters: BOS is 1, EOS is 2."""

    bos_token, bos_token_id, eos_token_id, name_or_path = "\x01", 1, 2, "characters"

    def __init__(self, bos=1):
        self.bos = bos

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [1] * self.bos * add_special_tokens + [ord(letter) for letter in text]}


def test_the_variant_follows_the_input():
    template = PromptTemplate.load(own_template("alpaca-shaped"))
    assert template.render("Add.") == "### Task:\nAdd.\n\n### Reply:\n"
    assert template.render("Add.", "1 2") == "### Task:\nAdd.\n\n### Context:\n1 2\n\n### Reply:\n"
    assert template.render("{input}", "{instruction}").count("{") == 2


def test_a_template_without_a_variant_is_named(tmp_path):
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"prompt_no_input": "{instruction}"}))
    with pytest.raises(BallastError, match="template.json: 'prompt_input' is missing"):
        PromptTemplate.load(path)


def test_exactly_one_bos():
    assert prompt_ids(Tokenizer(), "ab") == [1, 97, 98]
    for bos in (0, 2):
        with pytest.raises(BallastError, match=f"begins with {bos} BOS tokens, wanted exactly one"):
            prompt_ids(Tokenizer(bos), "ab")


def test_a_text_that_brings_its_bos_gets_no_second_one():
    assert prompt_ids(Tokenizer(), "\x01ab") == [1, 97, 98]
    assert training_ids(Tokenizer(), "\x01ab", "c", 9) == ([1, 97, 98, 99, 2], 3)
    with pytest.raises(BallastError, match="begins with 2 BOS tokens"):
        prompt_ids(Tokenizer(), "\x01\x01ab")


def test_a_special_token_that_a_user_wrote_is_no_fault_of_the_template():
    assert prompt_ids(Tokenizer(), "a\x01b") == [1, 97, 1, 98]


def test_eos_is_added_only_where_it_fits():
    assert training_ids(Tokenizer(), "ab", "c", 9) == ([1, 97, 98, 99, 2], 3)
    assert training_ids(Tokenizer(), "ab", "c", 4) == ([1, 97, 98, 99], 3)
    assert training_ids(Tokenizer(), "ab", "", 9) == ([1, 97, 98, 2], 3)
    assert training_ids(Tokenizer(), "abcd", "c", 3) == ([1, 97, 98], 3)


def test_braces_in_a_pair_stay_text():
    template = PairTemplate("a ", " b ", " c")
    assert template.render("{response}", "{prompt}") == "a {response} b {prompt} c"
    assert harm_rm.render("{x}", "%s") == "\n\nHuman: {x}\n\nAssistant: %s"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{prompt}", r"'template' must hold \{response\} exactly once"),
        ("{prompt} {prompt} {response}", r"'template' must hold \{prompt\} exactly once"),
        ("{response} {prompt}", r"\{prompt\} must come before \{response\}"),
    ],
)
def test_a_pair_template_without_its_fields_is_named(tmp_path, template, message):
    path = tmp_path / "judge.json"
    path.write_text(json.dumps({"template": template}))
    with pytest.raises(BallastError, match=f"judge.json: .*{message}"):
        PairTemplate.load(path)


def test_our_own_pair_templates_have_the_fields():
    files = [*HOME.glob("judges/*.json"), *HOME.glob("labels/*.json"), HOME / "rewriting.json"]
    assert len(files) == 7
    assert all(PairTemplate.load(file).render("p", "r") for file in files)
