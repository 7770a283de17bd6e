"""Templates, BOS, and what is cut."""

import json

import pytest

from ballast.asking.loading import load_tokenizer
from ballast.asking.prompts import ChatPrompt, PairTemplate, PromptTemplate, prompt_ids, training_ids
from ballast.data import forms
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


def test_an_answer_that_brings_its_end_gets_no_second_one():
    assert training_ids(Tokenizer(), "ab", "c\x02", 9) == ([1, 97, 98, 99, 2], 3)
    assert training_ids(Tokenizer(), "ab", "c\x02", 9, end=7) == ([1, 97, 98, 99, 7], 3), "a turn's end for EOS"
    assert training_ids(Tokenizer(), "ab", "c\x07", 9, end=7) == ([1, 97, 98, 99, 7], 3)


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
    assert len(files) == 11
    assert all(PairTemplate.load(file).render("p", "r") for file in files)


def test_a_chat_of_several_turns_stays_one_in_the_models_own_template(model, tmp_path):
    """From a file to the prompt that is trained on; another template gets the transcript."""
    said = [("user", "One?"), ("assistant", "1."), ("user", "Two,"), ("user", "or three?"), ("assistant", "3.")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in said]}]
    rows += [{"messages": [{"role": "user", "content": "Alone?"}, {"role": "assistant", "content": "Yes."}]}]
    rows += [{"messages": [{"role": "assistant", "content": "Hello."}, *rows[0]["messages"][2:]]}]
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = forms.understand(path).table
    tokenizer = load_tokenizer(model)
    chat = ChatPrompt(tokenizer, "Be kind.")
    first, alone, greeted = (chat.render_row(row) for row in table.itertuples())
    roles = ["system", "user", "assistant", "user"]
    texts = ["Be kind.", "One?", "1.", "Two,\n\nor three?"]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    assert first == tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert alone == chat.render("Alone?")
    # No template takes a chat that the assistant opens, so its words are a transcript.
    assert greeted == chat.render("Assistant: Hello.\n\nUser: Two,\n\nUser: or three?")
    alpaca = PromptTemplate("{instruction}", "{instruction}{input}")
    assert alpaca.render_row(next(table.itertuples())) == "User: One?\n\nAssistant: 1.\n\nUser: Two,\n\nUser: or three?"
