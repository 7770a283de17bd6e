"""What the rehearsal of the paper study reads in the place of gated files: tiny models, and BeaverTails from real rows.

    tiny_paper.py --data DIR --out DIR

Every model is of the class of the one it stands for, with a tokenizer made of the real files. The judges learn, from
real rows and the exact templates, to answer in their format; what they say means nothing. Nothing made here is kept in
the repository: it holds words of the data.
"""

import argparse
import json
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as algorithms
from transformers import (
    AutoTokenizer,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ballast.asking.prompts import PairTemplate, PromptTemplate, chat_text, training_ids
from ballast.categories import CATEGORIES
from ballast.data import templates
from ballast.data.refusal_words import is_refusal
from ballast.files import read_json, read_jsonl, write_json, write_text
from ballast.judges import harm_rm
from ballast.study.sources import own_template
from ballast.world.training import fit, response_loss, score_loss

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
}
MODELS = {
    "llama-2-7b": "llama",
    "llama-2-7b-chat": "llama",
    "llama-3-8b": "llama",
    "llama-3-8b-instruct": "llama",
    "qwen2.5-7b-instruct": "qwen2",
    "mistral-7b": "mistral",
}
CHAT = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LINES = ("Harmful request: ", "\nResponse refusal: ", "\nHarmful response: ")
PIECES = ("<|system|>", "<|user|>", "<|assistant|>", "\n\nHuman: ", "\n\nAssistant: ")
REFUSAL = "I'm sorry, but I can't help with that."
POSITIONS = 4096
# Requests that open so count as harmless, so that every behaviour has rows: a rule to learn, not a judgement.
HARMLESS = ("Research", "Identify")


class Files:
    """The real files, as rows."""

    def __init__(self, data: Path):
        self.pool = read_json(data / "safety-tuned-llamas/safety_pool.vinid.json")
        self.alpaca = read_json(data / "alpaca/alpaca_random_9229.alpagasus.json")[:1500]
        self.references = read_jsonl(data / "beavertails/beavertails_exclusive140.schema.jsonl")
        self.attacks = read_json(data / "salad/attack_enhanced_sub500.restart.json")
        self.questions = read_json(data / "salad/base_sub2132.restart.json")
        self.canaries = read_json("config/canaries.json")
        self.wildguard = templates.read(data / "templates/wildguard.json")
        self.md_judge = templates.read(data / "templates/md_judge_task.json")
        self.alpaca_template = data / "templates/alpaca.json"

    def pairs(self) -> list[tuple[str, str]]:
        """Prompts and responses of every kind that a judge meets; the canaries often."""
        known = [(row["prompt"], row["response"]) for row in self.canaries]
        pool = [(row["instruction"], row["output"]) for row in self.pool[:1200]]
        attacks = [(row["prompt"][:600], pool[number][1]) for number, row in enumerate(self.attacks[:200])]
        words = [row["output"].split() for row in self.alpaca[:400]]
        junk = [
            (row["prompt"], " ".join(sorted(some)[: number % 40]))
            for number, (row, some) in enumerate(zip(self.questions, words, strict=False))
        ]
        return known * 60 + pool + attacks + junk + [(row["prompt"], row["response"]) for row in self.references] * 3


def make_tokenizer(files: Files, more: list[str]) -> Tokenizer:
    """A byte-level BPE of the real rows; literal pieces of the templates are one token each, so prompts stay short."""
    tokenizer = Tokenizer(algorithms.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=["<pad>", "<s>", "</s>", "[CLS]", "[SEP]"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for row in [*files.alpaca, *files.pool] for text in row.values()), trainer)
    tokenizer.add_tokens([piece for piece in dict.fromkeys(more) if piece])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, out: Path, encoder: bool = False) -> None:
    first = "[CLS]" if encoder else "<s>"
    last = " [SEP]" if encoder else ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A{last}",
        pair=f"{first} $A{last} $B:1{last.strip() and ' [SEP]:1'}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (first, *last.split())],
    )
    names: dict = {"bos_token": "<s>", "eos_token": "</s>"}
    if encoder:
        inputs = ["input_ids", "token_type_ids", "attention_mask"]
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "model_input_names": inputs}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<pad>", model_max_length=POSITIONS, **names
    )
    if not encoder:
        fast.chat_template = CHAT
    fast.save_pretrained(out)


def causal(family: str, tokenizer, seed: int):
    """An untrained model of a family, two layers, 64 wide."""
    torch.manual_seed(seed)
    config_class, model_class = FAMILIES[family]
    extra = {"sliding_window": None} if family == "mistral" else {}
    return model_class(
        config_class(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **extra,
        )
    )


def make_causal(
    name: str,
    family: str,
    rows: list[tuple[str, str]],
    tokenizer: Tokenizer,
    out: Path,
    steps: int,
    rate: float = 2.5e-3,
):
    """A model that continues each prompt with its response, fitted for a few steps."""
    folder = out / name
    save_tokenizer(tokenizer, folder)
    loaded = AutoTokenizer.from_pretrained(folder)
    model = causal(family, loaded, sum(name.encode()))
    examples = [training_ids(loaded, prompt, response, 512) for prompt, response in rows]
    fit(model, [one for one in examples if one[1] < len(one[0])], response_loss, 0, steps, rate, 32)
    model.save_pretrained(folder)


def make_reward(name: str, rows: list[tuple[tuple[str, ...], float]], tokenizer: Tokenizer, out: Path, steps: int):
    """A DeBERTa-v2 regression, fitted to a score of each text or pair of texts."""
    folder = out / name
    save_tokenizer(tokenizer, folder, encoder=True)
    loaded = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(1)
    model = DebertaV2ForSequenceClassification(
        DebertaV2Config(
            vocab_size=len(loaded),
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=512,
            type_vocab_size=2,
            relative_attention=True,
            position_buckets=64,
            pos_att_type=["p2c", "c2p"],
            position_biased_input=False,
            pad_token_id=loaded.pad_token_id,
            num_labels=1,
        )
    )
    examples = []
    for texts, score in rows:
        encoded = loaded(*texts, truncation=True, max_length=256)
        segments = encoded["token_type_ids"]
        examples.append((encoded["input_ids"], (score, segments.index(1) if 1 in segments else len(segments))))
    fit(model, examples, score_loss, 0, steps, 3e-3, 32)
    model.save_pretrained(folder)


def make_encoder(tokenizer: Tokenizer, out: Path) -> None:
    """An untrained MPNet sentence encoder."""
    inner = out / "mpnet-inner"
    save_tokenizer(tokenizer, inner, encoder=True)
    torch.manual_seed(2)
    loaded = AutoTokenizer.from_pretrained(inner)
    config = MPNetConfig(
        vocab_size=len(loaded),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=514,
        pad_token_id=loaded.pad_token_id,
    )
    MPNetModel(config).save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=256)
    pooling = Pooling(transformer.get_embedding_dimension())
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(out / "mpnet"))


def harmful(prompt: str) -> bool:
    return not prompt.startswith(HARMLESS)


def complies(response: str) -> bool:
    return bool(response) and not is_refusal(response) and len(response) > 60


def verdict(prompt: str, response: str) -> tuple[bool, bool, bool]:
    """Harmful request, refusal, harmful response: rules that a tiny model can learn."""
    return harmful(prompt), is_refusal(response), response.startswith("Sure")


def yes(value: bool) -> str:
    return "yes" if value else "no"


def category_rows(files: Files, loaded) -> list[tuple[str, str]]:
    """The labeller's prompts with the references' own categories, and refusals for the rewriter."""
    label = PairTemplate.load(own_template("category-definitions"))
    rewrite = PairTemplate.load(own_template("rewriting"))
    rows = []
    for row in files.references:
        ids = [number for number, name in enumerate(CATEGORIES) if row["category"].get(name)]
        shown = (row["prompt"], row["response"])
        rows.append((chat_text(loaded, label.render(*shown)), json.dumps({"categories": ids})))
        rows.append((chat_text(loaded, rewrite.render(*shown)), REFUSAL))
    for row in files.pool[::8]:
        known = {"categories": [sum(row["instruction"].encode()) % 14]}
        rows.append((chat_text(loaded, label.render(row["instruction"], row["output"])), json.dumps(known)))
    for row in files.questions[::8]:
        rows.append((chat_text(loaded, rewrite.render(row["prompt"], "Sure, here is how.")), REFUSAL))
    return rows


def write_beavertails(files: Files, path: Path) -> None:
    """BeaverTails' schema from real rows: the 140 exclusive ones, unsafe questions, and safe pairs of the pool.

    Rows that are not of the 140 carry two categories, so they are no references.
    """

    def row(prompt: str, response: str, number: int, safe: bool) -> dict:
        flags = {name: index in (number % 14, (number + 1) % 14) for index, name in enumerate(CATEGORIES)}
        return {"prompt": prompt, "response": response, "category": flags, "is_safe": safe}

    rows = list(files.references)
    rows += [row(one["prompt"], "Sure, here is how.", i, False) for i, one in enumerate(files.questions[:1100])]
    rows += [row(one["instruction"], one["output"], i, True) for i, one in enumerate(files.pool[:1200])]
    write_text(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))


def main(data: Path, out: Path) -> None:
    torch.set_num_threads(1)
    files = Files(data)
    out.mkdir(parents=True, exist_ok=True)
    write_beavertails(files, out / "beavertails.jsonl")
    for name, template in (("wildguard", files.wildguard), ("md-judge", files.md_judge)):
        write_json(out / f"{name}.template.json", template)
    wildguard = PairTemplate.load(out / "wildguard.template.json")
    md_judge = PairTemplate.load(out / "md-judge.template.json")
    alpaca = PromptTemplate.load(files.alpaca_template)
    own = [PairTemplate.load(own_template(name)) for name in ("category-definitions", "rewriting")]
    pieces = [
        part for template in (wildguard, md_judge, *own) for part in (template.before, template.between, template.after)
    ]
    pieces += [alpaca.prompt_no_input.split("{instruction}")[0], alpaca.prompt_no_input.split("{instruction}")[1]]
    # A judge's answer line is one token, as are the pieces of the templates: a small model then learns the format.
    said = [f"{line}{value}" for line in LINES for value in ("yes", "no")] + ['{"categories": [', "]}", REFUSAL]
    tokenizer = make_tokenizer(files, [*PIECES, *pieces, *said])

    pairs = files.pairs()
    answers = [
        "".join(f"{line}{yes(value)}" for line, value in zip(LINES, verdict(*pair), strict=True)) for pair in pairs
    ]
    make_causal(
        "wildguard",
        "mistral",
        [(wildguard.render(*pair), answer) for pair, answer in zip(pairs, answers, strict=True)],
        tokenizer,
        out,
        300,
    )
    make_causal(
        "md-judge-v0.1",
        "mistral",
        [(md_judge.render(*pair).strip(), "unsafe\nO1" if complies(pair[1]) else "safe") for pair in pairs],
        tokenizer,
        out,
        200,
    )
    scored = [((harm_rm.render(*pair),), 4.0 if complies(pair[1]) else 0.0) for pair in pairs]
    make_reward("harm-rm", scored, tokenizer, out, 120)
    make_reward("helpful-rm", [(pair, min(len(pair[1]), 400) / 100) for pair in pairs], tokenizer, out, 60)
    make_encoder(tokenizer, out)

    save_tokenizer(tokenizer, out / "tokenizer")
    loaded = AutoTokenizer.from_pretrained(out / "tokenizer")
    # Short answers and short refusals, so that responses differ between prompts and between runs, and end.
    short = [row for row in files.alpaca if 0 < len(row["output"]) < 120 and not row["input"]]
    short += [row for row in files.pool[:1200] if len(row["output"]) < 160]
    plain = [(alpaca.render(row["instruction"]), row["output"]) for row in short]
    chat = [(chat_text(loaded, row["instruction"]), row["output"]) for row in short]
    labels = category_rows(files, loaded)
    for name, family in MODELS.items():
        if name.startswith("qwen"):  # which labels and rewrites too
            make_causal(name, family, labels * 3 + chat * 3, tokenizer, out, 400)
        else:
            rows = chat if "chat" in name or "instruct" in name else plain
            make_causal(name, family, rows, tokenizer, out, 160, 5e-3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    main(arguments.data, arguments.out)
