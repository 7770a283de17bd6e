"""Render prompt templates and turn text into token ids, in one place.

A model's prompt template is a JSON file shaped like Alpaca's: `prompt_no_input` with `{instruction}`, `prompt_input`
with `{instruction}` and `{input}`. A judge's is a JSON file with `template`, which holds `{prompt}` and `{response}`.
Ids are made once here and passed on, so the number of BOS tokens is checked in one place.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ballast.asking import chat
from ballast.asking.chat import chat_text
from ballast.files import BallastError, read_json


@dataclass(frozen=True)
class PromptTemplate:
    """An Alpaca-shaped template with its two variants."""

    prompt_no_input: str
    prompt_input: str
    end = None  # EOS

    @classmethod
    def load(cls, path: str | Path) -> "PromptTemplate":
        """Read the template at `path`; raise BallastError that names a missing variant."""
        raw = read_json(path)
        for key in ("prompt_no_input", "prompt_input"):
            if not isinstance(raw, dict) or "{instruction}" not in raw.get(key, ""):
                raise BallastError(f"{path}: '{key}' is missing or has no {{instruction}}")
        return cls(raw["prompt_no_input"], raw["prompt_input"])

    def render(self, instruction: str, context: str = "") -> str:
        """Return the prompt text for one row; `context` is Alpaca's `input`, empty in most rows."""
        # Not str.format: braces in a row are text.
        if not context:
            return self.prompt_no_input.replace("{instruction}", instruction, 1)
        before, after = self.prompt_input.split("{instruction}", 1)
        return before + instruction + after.replace("{input}", context, 1)

    def render_row(self, row) -> str:
        """Return the prompt text for a row of a table; a chat of several turns is its transcript."""
        return self.render(row.instruction, row.input)


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
        """Return the judge's input for one pair."""
        return self.before + prompt + self.between + response + self.after

    def render_all(self, pairs: pd.DataFrame) -> list[str]:
        """Return the judge's input for each row's prompt and response."""
        return [self.render(*pair) for pair in zip(pairs["prompt"], pairs["response"], strict=True)]


def first_tokens(texts: list[str], options: dict, limit: int) -> list[str]:
    """Return texts cut to the first tokens of the judge's own tokenizer; unchanged for a judge behind an endpoint."""
    if "model" not in options:
        return texts
    from ballast.asking.loading import load_tokenizer

    tokenizer, cut = load_tokenizer(options["model"]), []
    for text in texts:
        spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        cut.append(text[: spans[limit - 1][1]] if len(spans) > limit else text)
    return cut


@dataclass(frozen=True)
class ChatPrompt:
    """The model's own chat template, used in place of an Alpaca-shaped one."""

    tokenizer: object
    system: str | None = None
    arguments: dict | None = None

    @cached_property
    def end(self) -> int | None:
        """The token that ends a trained answer."""
        return chat.turn_end(self.tokenizer, self.arguments)

    def render(self, instruction: str, context: str = "") -> str:
        """Return the prompt text for one row; `context` is Alpaca's `input`, put below the instruction."""
        request = f"{instruction}\n{context}" if context else instruction
        return chat_text(self.tokenizer, request, self.system, self.arguments)

    def render_row(self, row) -> str:
        """Return the prompt text for a row of a table; a chat of several turns stays one."""
        turns = getattr(row, "turns", None)
        if not isinstance(turns, str) or not turns:
            return self.render(row.instruction, row.input)
        messages = [{"role": "system", "content": self.system}] if self.system else []
        messages += [{"role": role, "content": text} for role, text in json.loads(turns)]
        return chat.render(self.tokenizer, messages, self.arguments)


def prompt_template(tokenizer, options: dict, trained: bool = False) -> PromptTemplate | ChatPrompt:
    """Return the template that renders rows; raise BallastError if a chat template does not fit (`chat.check`).

    `options`: prompt ("alpaca" or "chat"), template (a file), system, chat_template (arguments of the model's own).
    """
    if options["prompt"] == "chat":
        asked = ChatPrompt(tokenizer, options["system"], options.get("chat_template"))
        chat.check(tokenizer, asked.system, asked.arguments, trained=trained)
        if trained:
            fits(tokenizer, asked.end)
        return asked
    return PromptTemplate.load(options["template"])


def prompt_ids(tokenizer, text: str) -> list[int]:
    """Return token ids of a prompt with exactly one BOS at its start, if the tokenizer has a BOS at all.

    A chat template writes BOS itself, so none is added to a text that begins with it. Raises BallastError if the
    tokenizer adds none, or the text brings a second one (protocol: the double-BOS trap).
    """
    ids = _ids(tokenizer, text)
    if tokenizer.bos_token_id is None or tokenizer.bos_token_id == tokenizer.eos_token_id:
        return ids
    if not getattr(tokenizer, "add_bos_token", True) and ids[:1] != [tokenizer.bos_token_id]:
        return ids  # Qwen-like tokenizers have a BOS and never use it
    # Later ones are the user's text: some attacks write special tokens out.
    leading = [tokenizer.bos_token_id] * 2
    if ids[:1] != leading[:1] or ids[:2] == leading:
        raise BallastError(
            f"{tokenizer.name_or_path}: a rendered prompt begins with {2 if ids[:2] == leading else 0} BOS tokens, "
            "wanted exactly one; take BOS out of the template or let the tokenizer add it"
        )
    return ids


def training_ids(
    tokenizer, prompt: str, response: str, max_length: int, end: int | None = None
) -> tuple[list[int], int]:
    """Return ids of prompt + response + `end` (default EOS), cut to `max_length`, and the number of prompt tokens.

    The end is added only if it still fits, as in the paper's code (alpaca-lora `tokenize`).
    """
    if tokenizer.eos_token_id is None:
        raise BallastError(f"{tokenizer.name_or_path}: the tokenizer has no EOS, so no answer would learn to end")
    start = prompt_ids(tokenizer, prompt)
    ids = _ids(tokenizer, prompt + response)
    end = tokenizer.eos_token_id if end is None else end
    if ids and ids[-1] in (end, tokenizer.eos_token_id):
        ids = ids[:-1]
    ids = (ids + [end])[:max_length]
    return ids, min(len(start), len(ids))


def _ids(tokenizer, text: str) -> list[int]:
    written = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    ids = tokenizer(text, add_special_tokens=not written)["input_ids"]
    fits(tokenizer, max(ids, default=0))
    return ids


def fits(tokenizer, token: int | None) -> None:
    """Raise BallastError if the model has no embedding for a token's id; `load_tokenizer` knows their number."""
    size = getattr(tokenizer, "embeddings", None)
    if size is not None and token is not None and token >= size:
        raise BallastError(
            f"{tokenizer.name_or_path}: the tokenizer's {tokenizer.convert_ids_to_tokens(token)} has id {token}, and "
            f"the model's embedding ends at id {size - 1}; resize it (resize_token_embeddings), or take the token out "
            "of the tokenizer"
        )
