"""Find a benchmark's prompts in the requests of fine-tuning data: as a request, as a turn, or in a longer text."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ballast.data import overlap
from ballast.data.rows import pairs_to_judge

EXACT, WITHIN = "exact", "within"
# A prompt of fewer words or letters stands in longer texts by chance.
WORDS, LETTERS = 5, 12
# Scripts without spaces between words; each letter counts as a word.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(f"[{UNSPACED}]|[^ {UNSPACED}]+")


def find(table: pd.DataFrame, prompts: Sequence[str]) -> pd.DataFrame:
    """Return row and place (positions in `table` and `prompts`) and kind of each row that a prompt stands in, once.

    exact: the prompt is the request, Alpaca's instruction or input, or one of the user's turns, apart from case and
    punctuation. within: the prompt's words, at least WORDS of them with LETTERS letters, stand in this order inside
    the request.
    """
    whole = pairs_to_judge(table)["prompt"]
    parts = [whole, table["instruction"], table["input"]]
    owners = [np.arange(len(table))] * len(parts)
    if "turns" in table:
        said = [(row, text) for row, turns in enumerate(table["turns"]) for text in users(turns)]
        owners.append(np.array([row for row, _ in said], int))
        parts.append(pd.Series([text for _, text in said], dtype=object))
    texts, rows = pd.concat(parts, ignore_index=True), np.concatenate(owners)
    places = overlap.exact(texts.tolist(), prompts)
    exact = pd.DataFrame({"row": rows, "place": places, "kind": EXACT})[places >= 0]
    inside = _within(whole.tolist(), prompts)
    within = pd.DataFrame({"row": np.arange(len(table)), "place": inside, "kind": WITHIN})[inside >= 0]
    both = pd.concat([exact, within], ignore_index=True).drop_duplicates("row")
    return both.sort_values("row", ignore_index=True)


def users(turns: str) -> list[str]:
    """Return the user's messages of a row's `turns`."""
    return [text for role, text in json.loads(turns) if role == "user"] if turns else []


def _within(texts: Sequence[str], prompts: Sequence[str]) -> np.ndarray:
    """Return each text's first place in `prompts` of one that it holds, -1 without one."""
    known = defaultdict(list)
    for place, prompt in enumerate(prompts):
        words = _words(prompt)
        if len(words) >= WORDS and sum(map(len, words)) >= LETTERS:
            known[tuple(words[:WORDS])].append((place, words))
    found = np.full(len(texts), -1, np.int64)
    for number, text in enumerate(texts):
        words = _words(text)
        held = (
            place
            for start, opening in enumerate(zip(*(words[shift:] for shift in range(WORDS)), strict=False))
            for place, prompt in known.get(opening, ())
            if words[start : start + len(prompt)] == prompt
        )
        found[number] = next(held, -1)
    return found


def _words(text: str) -> list[str]:
    return WORD.findall(overlap.normalised(text))
