"""A model's tokenizer, chat template and layers fit what the study asks, or one line says what does not."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.tiny_runs import DECODING, JUDGING, OPTIONS
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames
from transformers.utils import chat_template_utils

from ballast.asking import chat
from ballast.asking.decoding import askable
from ballast.asking.prompts import prompt_ids, prompt_template
from ballast.backends import transformers as backend
from ballast.files import BallastError, read_json, write_json
from ballast.running import doctor
from ballast.study import config, fine_tuning
from ballast.study.sections import LanguageModel, Model
from ballast.trainers import dualselect, sft
from ballast.training import cards

CHATTING = {"prompt": "chat", "template": None, "system": None}
BODY = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }}\n{% endfor %}[assistant] "
THINKS = BODY + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n{% endif %}"
# Gemma 4's way: off unless it is turned on; Nemotron's: by a word in the system message.
OFF = BODY + "{% if not enable_thinking | default(false) %}<think></think>{% endif %}"
BY_WORD = (
    "{{ messages[0]['content'].replace('/no_think', '').strip() }} {{ messages[-1]['content'] }} [assistant] "
    "{% if '/no_think' in messages[0]['content'] %}<think></think>{% else %}<think>{% endif %}"
)
TODAY = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "Today: {{ date_string }}, {{ strftime_now('%Y-%m-%d') }}\n" + BODY
)


@pytest.fixture
def made(model, tmp_path):
    """Make a copy of the tiny model with another chat template, or other values in its JSON files."""

    def make(template: str | list | None = None, **files: dict) -> str:
        folder = tmp_path / "made"
        shutil.copytree(model, folder)
        if template is not None:
            (folder / "chat_template.jinja").unlink(missing_ok=True)
            files.setdefault("tokenizer_config", {})["chat_template"] = template
        for name, changes in files.items():
            path = folder / f"{name}.json"
            write_json(path, (read_json(path) if path.is_file() else {}) | changes)
        return str(folder)

    return make


def refused(call, *words: str) -> str:
    with pytest.raises(BallastError) as error:
        call()
    said = str(error.value)
    assert "\n" not in said and all(word in said for word in words), said
    return said


# Chat templates.


@pytest.mark.parametrize(
    ("template", "options", "words"),
    [
        (
            "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system\n role') }}{% endif %}" + BODY,
            {"system": "Be brief."},
            ["No system role", "models.<name>.system"],
        ),
        (
            "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}",
            {"system": "Be brief."},
            ["leaves out the system message", "models.<name>.system"],
        ),
        (
            "{{ raise_exception('Roles must alternate') }}",
            {},
            ["its chat template stops", "must alternate"],
        ),
        ("{{ messages[0].content.nothing.more }}", {}, ["its chat template stops"]),
        ("{% for part in messages[0]['content'] %}{{ part['text'] }}{% endfor %}", {}, ["leaves out the request"]),
        (BODY + "<think>\n", {}, ["inside thoughts", "models.<name>.chat_template", "enable_thinking: false"]),
        (BODY + "[THINK]", {}, ["inside thoughts"]),
        (THINKS, {}, ["may think", "models.<name>.chat_template: {enable_thinking: false}"]),
        (THINKS, {"chat_template": {"enable_thnking": False}}, ["does not read 'enable_thnking'", "'enable_thinking'"]),
        (THINKS, {"chat_template": {"tokenize": True}}, ["does not read 'tokenize'"]),
        (BODY, {"chat_template": {"add_generation_prompt": False}}, ["does not read 'add_generation_prompt'"]),
        (BY_WORD, {"system": "Be brief."}, ["inside thoughts"]),
        ([{"name": "rag", "template": BODY}], {}, ["its chat template stops"]),
    ],
)
def test_a_chat_template_that_does_not_fit_is_one_line_in_training_and_doctor(made, rows, template, options, words):
    folder, options = made(template), CHATTING | options
    refused(lambda: prompt_template(backend.load_tokenizer(folder), options, trained=True), *words)
    refused(lambda: sft.train(folder, rows, OPTIONS | options, 0, Path(folder) / "out"), *words)
    [found] = doctor._models({"models.mine": {"folder": folder} | options | {"lora": OPTIONS["lora"]}})
    assert found.state == doctor.PROBLEM and all(word in found.said for word in words)


@pytest.mark.parametrize(
    ("template", "options", "end"),
    [
        (THINKS, {"chat_template": {"enable_thinking": False}}, "<think>\n\n</think>\n"),
        (THINKS, {"chat_template": {"enable_thinking": True}}, "[assistant] "),
        (BODY + "</think>", {}, "</think>"),
        (OFF, {}, "</think>"),
        (BY_WORD, {"system": "Be brief. /no_think"}, "</think>"),
        ([{"name": "default", "template": BODY}, {"name": "rag", "template": "x"}], {}, "[assistant] "),
        (BODY, {"system": " Write <think> first. "}, "[assistant] "),
    ],
)
def test_a_chat_template_that_fits_renders(made, rows, template, options, end):
    folder, options = made(template), CHATTING | options
    tokenizer = backend.load_tokenizer(folder)
    prompt = prompt_template(tokenizer, options).render("Say a.")
    assert prompt.endswith(end) and "Say a." in prompt
    [found] = doctor._models({"models.mine": {"folder": folder} | options | {"lora": OPTIONS["lora"]}})
    assert (found.state, found.about) == (doctor.OK, "models.mine")


def test_a_prompt_has_the_same_bytes_tomorrow_whatever_date_its_template_asks_for(made, monkeypatch):
    tokenizer = backend.load_tokenizer(made(TODAY))

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.today() + timedelta(days=1)

    today = prompt_template(tokenizer, CHATTING).render("Say a.")
    monkeypatch.setattr(chat_template_utils, "datetime", Tomorrow)
    plain = tokenizer.apply_chat_template([{"role": "user", "content": "Say a."}], tokenize=False)
    assert f"{Tomorrow.now():%Y-%m-%d}" in plain, "the template would write another date"
    assert prompt_template(tokenizer, CHATTING).render("Say a.") == today
    assert "Today: 26 Jul 2024, 2024-07-26" in today and chat.date_in(tokenizer) == "2024-07-26"
    given = CHATTING | {"chat_template": {"date_string": "1 May 2025"}}
    assert "Today: 1 May 2025, 2024-07-26" in prompt_template(tokenizer, given).render("Say a.")


def test_a_model_that_is_asked_may_think_and_a_labellers_arguments_are_passed(made):
    opens = BODY + "{% if not (enable_thinking is defined and enable_thinking is false) %}<think>{% endif %}"
    tokenizer, asked = backend.load_tokenizer(made(opens)), JUDGING | {"chat": True, "max_length": 99}
    [ids] = askable(tokenizer, ["Say a."], asked).values()
    assert tokenizer.decode(ids).endswith("[assistant] <think>")
    assert prompt_template(tokenizer, CHATTING | {"chat_template": {"enable_thinking": True}})
    [ids] = askable(tokenizer, ["Say a."], asked | {"chat_template": {"enable_thinking": False}}).values()
    assert tokenizer.decode(ids).endswith("Say a.\n[assistant] ")


@pytest.mark.parametrize(
    ("section", "given", "words"),
    [
        (Model, {"chat_template": {"enable_thinking": False}}, "'chat_template' goes with prompt: chat"),
        (Model, {"system": "Be brief."}, "'system' goes with prompt: chat"),
        (LanguageModel, {"chat_template": {"enable_thinking": False}}, "'chat_template' goes with chat: true"),
    ],
)
def test_an_argument_that_no_template_would_get_is_refused(section, given, words):
    with pytest.raises(ValueError, match=words):
        section(path="x", **given)


# Tokens.


@pytest.mark.parametrize("name", ["pad_token", "eos_token"])
def test_a_token_beyond_the_embedding_is_one_line_everywhere(model, rows, tmp_path, name):
    folder = str(tmp_path / "made")
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({name: "[NEW]"})
    tokenizer.save_pretrained(folder)
    words = "[NEW] has id 259", "ends at id 258", "resize_token_embeddings"
    refused(lambda: sft.train(folder, rows, OPTIONS, 0, tmp_path / "out"), *words)
    refused(lambda: backend.generate(folder, None, [[1, 5]], DECODING), *words)
    refused(lambda: backend.answer(folder, ["a"], JUDGING, 2), *words)
    [found] = doctor._models({"models.mine": {"folder": folder, "prompt": "alpaca"}})
    assert found.state == doctor.PROBLEM and all(word in found.said for word in words)


def test_a_token_that_no_text_has_may_lie_beyond_the_embedding_and_one_that_a_text_has_is_named(model, rows, tmp_path):
    """Gemma 3 1B has such a token: <image_soft_token>."""
    folder = str(tmp_path / "made")
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    sft.train(folder, rows, OPTIONS, 0, tmp_path / "out")
    odd = rows.assign(instruction="See <image>.")
    refused(lambda: sft.train(folder, odd, OPTIONS, 0, tmp_path / "other"), "<image> has id 259", "ends at id 258")


DECLARED = [
    {"generation_config": {"eos_token_id": [2, 70]}},
    {"generation_config": {"eos_token_id": 70}},
    {"config": {"eos_token_id": 70}},
    {"config": {"eos_token_id": [70, 71]}},
]


@pytest.mark.parametrize("files", DECLARED)
def test_an_answer_ends_at_every_end_token_that_the_model_declares(made, files):
    """Decoding once without them shows which token comes second; declared as an end, it ends the answer there."""
    plain = made()
    prompts, options = [[1, *range(start, start + 6)] for start in (20, 40, 90)], DECODING | {"max_prompt_tokens": 99}
    tokenizer = backend.load_tokenizer(plain)
    assert tokenizer.ends == [2]
    network = backend.load_model(plain)
    said = backend.continuations(network, tokenizer, 5, 1, prompts)
    end = said[0][2]
    moved = json.loads(json.dumps(files).replace("70", str(end)))
    for name, changes in moved.items():
        path = Path(plain) / f"{name}.json"
        write_json(path, (read_json(path) if path.is_file() else {}) | changes)
    tokenizer = backend.load_tokenizer(plain)
    assert {2, end} <= set(tokenizer.ends)
    table = backend.generate(plain, None, prompts, options)
    for new, row in zip(said, table.itertuples(), strict=True):
        over = [token in tokenizer.ends for token in new]
        kept = new[: over.index(True)] if any(over) else new
        assert (row.finish_reason, row.response_tokens) == ("stop" if any(over) else "length", len(kept))
        assert row.response == tokenizer.decode(kept, skip_special_tokens=True).strip()
    assert table["finish_reason"][0] == "stop" and table["response_tokens"][0] == said[0].index(end)
    text = tokenizer.decode(prompts[0][1:])
    [answer] = backend.answer(plain, [text], JUDGING, 5)
    asked = prompt_ids(tokenizer, text)
    [new] = backend.continuations(network, tokenizer, 5, 1, [asked])
    assert answer == tokenizer.decode([token for token in new if token not in tokenizer.ends and token])


# LoRA.


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        ({"target_modules": ["q_proj", "v_projj"]}, ["no layer 'v_projj'", "did you mean 'v_proj'"]),
        ({"target_modules": ["c_attn"]}, ["no layer 'c_attn'"]),
        ({"target_modules": ["mlp"]}, ["no layer 'mlp'"]),
    ],
)
def test_a_target_module_that_the_model_lacks_is_named_before_training(model, rows, tmp_path, lora, words):
    options = OPTIONS | {"lora": OPTIONS["lora"] | lora}
    refused(lambda: sft.train(model, rows, options, 0, tmp_path / "out"), "training.lora.target_modules", *words)
    [found] = doctor._models({"models.mine": {"folder": model, "prompt": "alpaca", "lora": options["lora"]}})
    assert found.state == doctor.PROBLEM and all(word in found.said for word in words)


@pytest.mark.parametrize("modules", [["all-linear"], ["layers.0.mlp.up_proj", "q_proj"], ["lm_head", "embed_tokens"]])
def test_target_modules_that_exist_are_trained(model, rows, tmp_path, modules):
    sft.train(model, rows, OPTIONS | {"lora": OPTIONS["lora"] | {"target_modules": modules}}, 0, tmp_path)
    trained = read_json(tmp_path / "adapter_config.json")["target_modules"]
    assert trained == sorted(modules) if modules != ["all-linear"] else len(trained) == 14


@pytest.mark.parametrize(
    "lora",
    [{"target_modules": ["q_proj", "lm_head"]}, {"target_modules": ["embed_tokens"]}],
)
def test_a_tied_head_or_embedding_is_refused_before_training(model, rows, tmp_path, lora):
    folder = tmp_path / "tied"
    shutil.copytree(model, folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    tied = Qwen2Config(vocab_size=259, num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=2, **sizes)
    Qwen2ForCausalLM(tied).save_pretrained(folder)
    options = OPTIONS | {"lora": OPTIONS["lora"] | lora}
    [word] = set(lora.get("target_modules", ["lm_head"])) - {"q_proj"} or {"lm_head"}
    refused(lambda: sft.train(str(folder), rows, options, 0, tmp_path / "out"), f"'{word}'", "tie_word_embeddings")
    sft.train(str(folder), rows, OPTIONS, 0, tmp_path / "out")


def test_schedules_and_optimisers_are_those_of_transformers(tmp_path):
    own_arguments = {"cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay"}
    own_arguments |= {"reduce_lr_on_plateau", "greedy"}
    assert set(fine_tuning.SCHEDULES) == {kind.value for kind in SchedulerType} - own_arguments
    fields = fine_tuning.Training.model_fields
    assert set(fields["optim"].annotation.__args__) <= {kind.value for kind in OptimizerNames}
    raw = config.read(Path(__file__).parents[2] / "config/mini.yaml")
    raw["training"]["lora"] = {"target_modules": "all-linear"}
    assert config.load(raw).training.lora.target_modules == ["all-linear"]
    raw["training"]["lr_scheduler_type"] = "cosin"
    refused(lambda: config.load(raw), "training.lr_scheduler_type", "'cosine'", "'cosin'")


@pytest.mark.parametrize("schedule", fine_tuning.SCHEDULES)
def test_each_schedule_needs_no_argument_of_its_own(schedule):
    from transformers import get_scheduler

    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    get_scheduler(schedule, optimiser, 1, 4)


# Rows that teach nothing.

LONG = "x" * 80


@pytest.mark.parametrize("on_prompt", [False, True])
@pytest.mark.parametrize("packing", [False, True])
def test_a_row_whose_prompt_fills_the_window_is_counted_and_named(model, rows, tmp_path, capsys, on_prompt, packing):
    rows.loc[10, "instruction"] = LONG
    options = OPTIONS | {"train_on_prompt": on_prompt, "packing": packing}
    log = sft.train(model, rows, options, 0, tmp_path)
    assert log["rows_without_answer"] == {"base": 0, "subset": 1} and log["rows_learnt"] == {"base": 10, "subset": 1}
    assert log["ids_without_answer"] == [rows["id"][10]] and log["rows_cut"] == 1
    said = capsys.readouterr().err
    assert (
        f"1 of 2 subset rows teach no answer: the prompt alone fills training.max_length 64: ids {rows['id'][10]}"
        in said
    )
    assert LONG not in json.dumps(log) + said
    for origin, count in log["rows_by_origin"].items():
        assert count == log["rows_learnt"][origin] + log["rows_without_answer"][origin]
    assert "| of subset, teach no answer: the prompt fills the window | 1 rows |" in cards._data(
        type("Of", (), {"data": [1, 2], "training": {"max_length": 64}, "patched": False}), log
    )


def test_a_run_whose_rows_all_fit_counts_none_and_says_nothing(model, rows, tmp_path, capsys):
    log = sft.train(model, rows, OPTIONS, 0, tmp_path)
    assert log["rows_without_answer"] == {"base": 0, "subset": 0} and log["ids_without_answer"] == []
    assert "teach no answer" not in capsys.readouterr().err


def test_dualselect_counts_references_that_teach_nothing(model, rows, tmp_path):
    rows["origin"] = ["base"] * 6 + ["pool"] * 6
    rows.loc[8, "instruction"] = LONG
    own = {name: value[0] for name, value in dualselect.OPTIONS.items()} | {"n": 2, "references": 0, "warm_up": 1}
    own = {name: value[0] if isinstance(value, tuple) else value for name, value in own.items()}
    log = dualselect.train(model, rows, OPTIONS | own | {"num_train_epochs": 3}, 0, tmp_path)
    assert log["rows_without_answer"] == {"base": 0, "pool": 1} and log["ids_without_answer"] == [rows["id"][8]]
    assert log["rows_learnt"] == {"base": 6, "pool": 5} and log["references"] == 5


# Generation with an adapter.


def test_merged_weights_keep_their_gradients_and_the_same_answers(model, rows, tmp_path, monkeypatch):
    sft.train(model, rows, OPTIONS | {"num_train_epochs": 5}, 0, tmp_path)
    prompts, seen = [[1, *range(start, start + 9)] for start in (10, 30, 60)], []
    real = backend.continuations

    def watched(network, *arguments):
        seen.append({parameter.requires_grad for parameter in network.parameters()})
        return real(network, *arguments)

    monkeypatch.setattr(backend, "continuations", watched)
    for dtype in ("float32", "bfloat16"):
        quick = backend.generate(model, str(tmp_path), prompts, DECODING | {"dtype": dtype})
        with monkeypatch.context() as patch:
            patch.setattr(torch.nn.Module, "requires_grad_", lambda network, *_: network)
            slow = backend.generate(model, str(tmp_path), prompts, DECODING | {"dtype": dtype})
        pd.testing.assert_frame_equal(quick, slow)
    assert seen == [{True}, {False}] * 2
