"""Each family of chat models goes through a person's whole path: doctor, training, answering, merging.

The models are random and tiny, of the families' own classes. The templates are made here: only their shape is the
family's, that is who ends a turn with which token, and how they treat a system message, a date and thinking.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import transformers
from helpers.tiny_runs import DECODING, OPTIONS
from safetensors.numpy import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from ballast.asking import chat
from ballast.asking.prompts import prompt_ids, prompt_template
from ballast.backends import transformers as backend
from ballast.files import BallastError, write_json
from ballast.running import doctor
from ballast.trainers import sft
from ballast.training import fit, merging, packing, per_example

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
}
WINDOWS = {"sliding_window": 300, "layer_types": ["sliding_attention", "full_attention"]}
SIGHT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIGHT |= {"image_size": 28, "patch_size": 14}
THOUGHT = "<think>\n\n</think>\n\n"
BRIEF = "Be brief."


def shape(other: str, assistant: str, ask: str, start: str = "") -> str:
    """Return a template from the forms of a turn, of an assistant's turn, and of an answer's beginning."""
    each = "{% if m.role == 'assistant' %}" + assistant + "{% else %}" + other + "{% endif %}"
    return start + "{% for m in messages %}" + each + "{% endfor %}{% if add_generation_prompt %}" + ask + "{% endif %}"


TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
ASK = "<|im_start|>assistant\n"
SWITCH = ASK + "{% if enable_thinking is defined and not enable_thinking %}" + THOUGHT + "{% endif %}"
THINKS = ASK + THOUGHT + "{{ m.content }}<|im_end|>\n"
HEAD = "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>"
TODAY = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}{{ date_string }}"
)
# A system message is no turn; `lead` is written into the first request, or the last.
LEAD = (
    "{% set lead = '' %}{% if messages[0].role == 'system' %}{% set lead = messages[0].content ~ '\n\n' %}"
    "{% set messages = messages[1:] %}{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no such role') }}{% endif %}"


@dataclass(frozen=True)
class Family:
    """What a person's model of a family brings, and what must come of it."""

    network: str
    template: str
    end: str  # the token by which trained answers end
    eos: str
    declared: tuple[str, ...]  # in generation_config.json
    bos: str | None = None
    adds_bos: bool = False
    pad: str | None = None
    others: tuple[str, ...] = ()
    arguments: dict = field(default_factory=dict)
    system: bool = True
    dated: bool = False
    gap: str = ""  # written by the template between the request's end and an answer, and not trained
    config: dict = field(default_factory=dict)
    sees: bool = False


QWEN = {"eos": "<|im_end|>", "others": ("<|im_start|>",), "declared": ("<|im_end|>", "<|endoftext|>")}
GEMMA = {
    "template": shape(
        "<start_of_turn>user\n{{ lead if loop.first }}{{ m.content }}<end_of_turn>\n",
        "<start_of_turn>model\n{{ m.content }}<end_of_turn>\n",
        "<start_of_turn>model\n",
        "{{ bos_token }}" + LEAD,
    ),
    "end": "<end_of_turn>",
    "eos": "<eos>",
    "bos": "<bos>",
    "adds_bos": True,
    "pad": "<pad>",
    "declared": ("<eos>", "<end_of_turn>"),
    "others": ("<start_of_turn>", "<end_of_turn>", "<image>"),
    "config": WINDOWS,
}
MISTRAL = {"end": "</s>", "eos": "</s>", "bos": "<s>", "adds_bos": True, "declared": ("</s>",)}
FAMILIES = {
    "qwen3": Family(
        "Qwen3ForCausalLM",
        shape(TURN, THINKS, SWITCH),
        end="<|im_end|>",
        pad="<|endoftext|>",
        arguments={"enable_thinking": False},
        **QWEN,
    ),
    "llama-3": Family(
        "LlamaForCausalLM",
        shape(
            "{% if m.role != 'system' %}" + HEAD + "{% endif %}",
            HEAD,
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nToday: " + TODAY + "\n\n"
            "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|eot_id|>",
        ),
        end="<|eot_id|>",
        eos="<|eot_id|>",
        bos="<|begin_of_text|>",
        adds_bos=True,
        others=("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|end_of_text|>"),
        declared=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
        dated=True,
    ),
    "gemma-3": Family("Gemma3ForCausalLM", **GEMMA),
    "gemma-3-sees": Family("Gemma3ForConditionalGeneration", **GEMMA, sees=True),
    "smollm3": Family(
        "SmolLM3ForCausalLM",
        shape(
            "{% if m.role != 'system' %}" + TURN + "{% endif %}",
            THINKS,
            SWITCH,
            "<|im_start|>system\nToday: {{ strftime_now('%d %B %Y') }}\n"
            "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}<|im_end|>\n",
        ),
        end="<|im_end|>",
        eos="<|im_end|>",
        bos="<|begin_of_text|>",
        pad="<|im_end|>",
        others=("<|im_start|>",),
        declared=("<|im_end|>",),
        arguments={"enable_thinking": False},
        dated=True,
    ),
    "mistral-0.2": Family(
        "MistralForCausalLM",
        shape("[INST] {{ m.content }} [/INST]", " {{ m.content }}{{ eos_token }}", "", "{{ bos_token }}" + NO_SYSTEM),
        system=False,
        gap=" ",
        **MISTRAL,
    ),
    "mistral-0.3": Family(
        "MistralForCausalLM",
        shape(
            "[INST] {{ lead if loop.last }}{{ m.content }}[/INST]",
            " {{ m.content }}{{ eos_token }}",
            "",
            "{{ bos_token }}" + LEAD,
        ),
        others=("[INST]", "[/INST]"),
        gap=" ",
        **MISTRAL,
    ),
    "mistral-small": Family(
        "MistralForCausalLM",
        shape(
            "{% if m.role == 'system' %}[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]"
            "{% else %}[INST]{{ m.content }}[/INST]{% endif %}",
            "{{ m.content }}{{ eos_token }}",
            "",
            "{{ bos_token }}{% if messages[0].role != 'system' %}[SYSTEM_PROMPT]Today: {{ strftime_now('%Y-%m-%d') }}"
            "[/SYSTEM_PROMPT]{% endif %}",
        ),
        others=("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        dated=True,
        **MISTRAL,
    ),
    "olmo-2": Family(
        "Olmo2ForCausalLM",
        shape(
            "<|{{ m.role }}|>\n{{ m.content }}\n",
            "<|assistant|>\n{{ m.content }}{{ eos_token }}\n",
            "<|assistant|>\n",
            "{{ bos_token }}",
        ),
        end="<|endoftext|>",
        eos="<|endoftext|>",
        bos="<|endoftext|>",
        pad="<|pad|>",
        declared=("<|endoftext|>",),
    ),
    "olmo-3": Family(
        "Olmo3ForCausalLM",
        shape(TURN, ASK + "{{ m.content }}{% if loop.last %}{{ eos_token }}{% else %}<|im_end|>\n{% endif %}", ASK),
        end="<|endoftext|>",
        eos="<|endoftext|>",
        pad="<|pad|>",
        others=("<|im_start|>", "<|im_end|>"),
        declared=("<|im_end|>", "<|endoftext|>"),
        config=WINDOWS,
    ),
}


def made_tokenizer(family: Family, folder: Path):
    """Write and return a tokenizer over single bytes and the family's special tokens."""
    special = dict.fromkeys(
        token for token in (family.pad, family.eos, family.bos, *family.others, *family.declared) if token
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    if family.adds_bos:
        bos = (family.bos, vocabulary[family.bos])
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{family.bos} $A", special_tokens=[bos])
    names = {"bos_token": family.bos, "eos_token": family.eos, "pad_token": family.pad}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = family.template
    fast.save_pretrained(folder)
    return fast


def made_model(family: Family, folder: Path) -> str:
    """Write a random model of the family's class, with its tokenizer and its end tokens; return its folder."""
    tokenizer = made_tokenizer(family, folder)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    text = SIZES | {"vocab_size": len(tokenizer)} | ids | family.config
    kind = getattr(transformers, family.network)
    seeing = {"text_config": text, "vision_config": SIGHT, "mm_tokens_per_image": 4, "image_token_index": 5}
    transformers.set_seed(0)
    network = kind(kind.config_class(**(seeing if family.sees else text)))
    # torch makes padding's row zero; where padding is EOS, no head could learn to say it.
    network.get_input_embeddings().weight.data.normal_(std=0.02)
    network.save_pretrained(folder)
    declared = tokenizer.convert_tokens_to_ids(list(family.declared))
    write_json(folder / "generation_config.json", {"eos_token_id": declared, "do_sample": True, "temperature": 0.6})
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Callable[[str], str]:
    """Return the folder of a family's model, by name."""
    return cache(lambda name: made_model(FAMILIES[name], tmp_path_factory.mktemp(name)))


@pytest.fixture(params=FAMILIES)
def made(request, folders) -> tuple[Family, str]:
    """A family and the folder of its model."""
    return FAMILIES[request.param], folders(request.param)


def options(family: Family, **other) -> dict:
    chatting = {"prompt": "chat", "template": None, "system": None, "chat_template": family.arguments}
    lora = OPTIONS["lora"] | {"target_modules": ["all-linear"], "lora_dropout": 0.0, "r": 16, "lora_alpha": 32}
    return OPTIONS | chatting | {"lora": lora, "max_length": 200} | other


ROWS = pd.DataFrame({"instruction": [f"Say {word}." for word in "abcdefgh"], "output": "ok"})
ROWS = ROWS.assign(input="", id=list("abcdefgh"), origin=["base"] * 6 + ["subset"] * 2)


def test_a_model_of_the_family_is_checked_trained_asked_and_merged(made, tmp_path, capsys):
    family, folder = made
    how = options(family, num_train_epochs=25, learning_rate=1e-2, train_on_prompt=False)
    [found] = doctor._models({"models.mine": {"folder": folder} | how})
    assert found.state == doctor.OK, found.said
    log = sft.train(folder, ROWS, how, 0, tmp_path / "adapter")
    assert log.get("answer_end") == (family.end if family.end != family.eos else None)
    assert ("trained answers end with" in capsys.readouterr().err) == (family.end != family.eos)
    weights = load_file(tmp_path / "adapter/adapter_model.safetensors")
    parts = {name.split(".layers.")[0].removeprefix("base_model.model.") for name in weights}
    assert parts == {"model.language_model" if family.sees else "model"}
    tokenizer = backend.load_tokenizer(folder)
    template = prompt_template(tokenizer, how)
    prompts = [prompt_ids(tokenizer, template.render(f"Say {word}.")) for word in "aceg"]
    asked = DECODING | {"max_prompt_tokens": 200}
    answers = backend.generate(folder, str(tmp_path / "adapter"), prompts, asked)
    assert set(answers["response"]) == {"ok"} and set(answers["finish_reason"]) == {"stop"}
    merging.merge(folder, str(tmp_path / "adapter"), "float32", tmp_path)
    pd.testing.assert_frame_equal(backend.generate(str(tmp_path), None, prompts, asked), answers)
    decoding = "generation_config.json"
    assert (tmp_path / decoding).read_bytes() == (Path(folder) / decoding).read_bytes()
    assert backend.load_tokenizer(tmp_path).ends == tokenizer.ends


def test_a_row_is_the_template_s_own_chat_up_to_the_token_that_ends_the_answer(made):
    family, folder = made
    tokenizer, how = backend.load_tokenizer(folder), options(family, train_on_prompt=False)
    examples = fit.encoded(tokenizer, ROWS, how)
    turns = [{"role": "user", "content": "Say a."}, {"role": "assistant", "content": "ok"}]
    written = chat.render(tokenizer, turns, family.arguments, asks=False)
    learnt = tokenizer.decode(examples[0]["input_ids"])
    assert written.startswith(learnt.removesuffix("ok" + family.end) + family.gap + "ok" + family.end)
    longer = examples[0] | {key: examples[0][key] * 2 for key in ("input_ids", "labels")}
    batch = fit.Collator(tokenizer)([examples[0], longer])
    first = batch["labels"][0]
    assert tokenizer.decode(first[first != fit.IGNORED]) == "ok" + family.end
    assert batch["attention_mask"][0].sum() == len(examples[0]["input_ids"])
    assert examples[0]["input_ids"][:-1].count(tokenizer.bos_token_id) == ("bos_token" in family.template)


def test_answers_stop_at_each_token_that_the_tokenizer_or_the_model_names(made):
    family, folder = made
    tokenizer = backend.load_tokenizer(folder)
    assert set(tokenizer.convert_ids_to_tokens(tokenizer.ends)) == {family.eos, *family.declared}
    assert family.end in tokenizer.convert_ids_to_tokens(tokenizer.ends)


def test_a_system_message_is_written_or_refused(made):
    family, folder = made
    how = options(family, system=BRIEF)
    [found] = doctor._models({"models.mine": {"folder": folder} | how})
    assert found.state == (doctor.OK if family.system else doctor.PROBLEM)
    assert family.system or "only for a system message" in found.said
    if family.system:
        prompt = prompt_template(backend.load_tokenizer(folder), how).render("Say a.")
        assert prompt.index(BRIEF) < prompt.index("Say a.")


def test_thinking_is_decided_in_the_config_and_a_date_never_moves(made):
    family, folder = made
    tokenizer, how = backend.load_tokenizer(folder), options(family)
    prompt = prompt_template(tokenizer, how, trained=True).render("Say a.")
    assert prompt.endswith(THOUGHT) == bool(family.arguments)
    assert ("2024" in prompt) == family.dated == (chat.date_in(tokenizer) == "2024-07-26")
    if family.arguments:
        with pytest.raises(BallastError, match="may think first"):
            prompt_template(tokenizer, how | {"chat_template": {}}, trained=True)
    else:
        with pytest.raises(BallastError, match="does not read 'enable_thinking'"):
            prompt_template(tokenizer, how | {"chat_template": {"enable_thinking": False}})


@pytest.mark.parametrize("declared", [["<eos>"], ["<eos>", "<end_of_turn>"]])
def test_a_turn_s_token_at_which_the_model_does_not_stop_is_no_end(tmp_path, declared):
    tokenizer = made_tokenizer(FAMILIES["gemma-3"], tmp_path)
    tokenizer.ends = tokenizer.convert_tokens_to_ids(declared)
    assert tokenizer.convert_ids_to_tokens(chat.turn_end(tokenizer)) == declared[-1]


@pytest.mark.parametrize(
    "template",
    ["{{ messages[0].content }}<end_of_turn>", NO_SYSTEM + "{{ messages[1].nothing.more }}", "{{ messages[1].role }}"],
)
def test_a_template_that_shows_no_answer_leaves_eos(tmp_path, template):
    tokenizer = made_tokenizer(FAMILIES["gemma-3"], tmp_path)
    tokenizer.chat_template, tokenizer.ends = template, tokenizer.convert_tokens_to_ids(["<eos>", "<end_of_turn>"])
    assert chat.turn_end(tokenizer) == tokenizer.eos_token_id


@pytest.mark.parametrize("name", {family.network: name for name, family in FAMILIES.items()}.values())
def test_packing_changes_no_loss(name, folders, tmp_path):
    packed, padded = (
        sft.train(folders(name), ROWS, options(FAMILIES[name], packing=on), 0, tmp_path / str(on))
        for on in (True, False)
    )
    assert packed["train_loss"] == pytest.approx(padded["train_loss"], abs=1e-5)


def test_a_model_that_sees_is_adapted_where_it_reads(folders, tmp_path):
    """Its vision tower has layers of the same names; no row of text would train them."""
    folder, family = folders("gemma-3-sees"), FAMILIES["gemma-3-sees"]
    for word, state in (("fc1", doctor.PROBLEM), ("q_proj", doctor.OK)):
        how = options(family, lora=OPTIONS["lora"] | {"target_modules": [word]})
        [found] = doctor._models({"models.mine": {"folder": folder} | how})
        assert found.state == state, found.said
    network = fit.with_adapter(fit.base_model(folder, how), how)
    tokenizer = backend.load_tokenizer(folder)
    batch, layers = fit.Collator(tokenizer)(fit.encode(tokenizer, ROWS, how)), []
    losses = per_example.rows_pass(network, batch, lambda name, gradient: layers.append(name))
    assert len(losses) == len(ROWS) and len(layers) == 4 and all("language_model" in name for name in layers)
    assert packing.has_plain_head(packing.plain(network))
    network.config.text_config.final_logit_softcapping = 30.0
    assert not packing.has_plain_head(packing.plain(network))
