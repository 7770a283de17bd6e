"""Prompt templates and the one place where text becomes token ids.

A model's prompt template is a JSON file shaped like Alpaca's: `prompt_no_input` with `{instruction}`, `prompt_input`
with `{instruction}` and `{input}`. A judge's is a JSON file with `template`, which holds `{prompt}` and `{response}`.
Ids are made once here and passed on, so the number of BOS tokens is checked in one place.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ballast.files import BallastError, read_json

ALPACA_SHAPED = Path(__file__).with_name("alpaca_shaped.json")


@dataclass(frozen=True)
class PromptTemplate:
    """The two variants of an Alpaca-shaped template."""

    prompt_no_input: str
    prompt_input: str

    @classmethod
    def load(cls, path: str | Path) -> "PromptTemplate":
        """Read the template at `path`; a missing variant is an error that names it."""
        raw = read_json(path)
        for key in ("prompt_no_input", "prompt_input"):
            if not isinstance(raw, dict) or "{instruction}" not in raw.get(key, ""):
                raise BallastError(f"{path}: '{key}' is missing or has no {{instruction}}")
        return cls(raw["prompt_no_input"], raw["prompt_input"])

    def render(self, instruction: str, context: str = "") -> str:
        """The prompt text for one row; `context` is Alpaca's `input`, empty in most rows."""
        # Replaced one field at a time: braces in a row are text, never a format field.
        if not context:
            return self.prompt_no_input.replace("{instruction}", instruction, 1)
        before, after = self.prompt_input.split("{instruction}", 1)
        return before + instruction + after.replace("{input}", context, 1)


@dataclass(frozen=True)
class PairTemplate:
    """A judge's template, cut at its two fields. Joined, never formatted: braces in a pair are text."""

    before: str
    between: str
    after: str

    @classmethod
    def load(cls, path: str | Path) -> "PairTemplate":
        """Read the template at `path`; it must hold `{prompt}` and then `{response}`, once each."""
        raw = read_json(path)
        template = raw.get("template", "") if isinstance(raw, dict) else ""
        for field in ("{prompt}", "{response}"):
            if template.count(field) != 1:
                raise BallastError(f"{path}: 'template' must hold {field} exactly once")
        before, rest = template.split("{prompt}")
        if "{response}" not in rest:
            raise BallastError(f"{path}: in 'template' {{prompt}} must come before {{response}}")
        return cls(before, *rest.split("{response}"))

    def render(self, prompt: str, response: str) -> str:
        """The judge's input for one pair."""
        return self.before + prompt + self.between + response + self.after

    def render_all(self, pairs: pd.DataFrame) -> list[str]:
        """The judge's input for each row's prompt and response."""
        return [self.render(*pair) for pair in zip(pairs["prompt"], pairs["response"], strict=True)]


def prompt_ids(tokenizer, text: str) -> list[int]:
    """Token ids of a prompt with exactly one BOS where the tokenizer has a BOS at all.

    Raises BallastError where the text or the tokenizer yields none or two (protocol: the double-BOS trap).
    """
    ids = tokenizer(text, add_special_tokens=True)["input_ids"]
    if tokenizer.bos_token_id is None or tokenizer.bos_token_id == tokenizer.eos_token_id:
        return ids
    if not getattr(tokenizer, "add_bos_token", True) and ids[:1] != [tokenizer.bos_token_id]:
        return ids  # Qwen-like tokenizers know a BOS and never use it
    if ids[:1] != [tokenizer.bos_token_id] or tokenizer.bos_token_id in ids[1:]:
        raise BallastError(
            f"{tokenizer.name_or_path}: a rendered prompt has {ids.count(tokenizer.bos_token_id)} BOS tokens, "
            "wanted exactly one at its start; take BOS out of the template or let the tokenizer add it"
        )
    return ids


def training_ids(tokenizer, prompt: str, response: str, max_length: int) -> tuple[list[int], int]:
    """Ids of prompt + response + EOS, cut to `max_length`, and how many of them are prompt.

    EOS is added only where it still fits, as in the paper's code (alpaca-lora `tokenize`).
    """
    start = prompt_ids(tokenizer, prompt)
    ids = tokenizer(prompt + response, add_special_tokens=True)["input_ids"]
    if ids and ids[-1] == tokenizer.eos_token_id:
        ids = ids[:-1]
    ids = (ids + [tokenizer.eos_token_id])[:max_length]
    return ids, min(len(start), len(ids))
