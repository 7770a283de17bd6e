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
    """Return what `Asked.find` does, for one list of prompts."""
    return Asked(table).find(prompts)


class Asked:
    """The requests of a table, normalised once for several lists of prompts."""

    def __init__(self, table: pd.DataFrame):
        self.whole = [overlap.normalised(text) for text in pairs_to_judge(table)["prompt"]]
        plain = (table["input"] == "").to_numpy()
        # Without an input, the instruction is the request.
        parts = [self.whole]
        parts.append(
            [
                text if same else overlap.normalised(own)
                for text, same, own in zip(self.whole, plain, table["instruction"], strict=True)
            ]
        )
        parts.append([overlap.normalised(text) if text else "" for text in table["input"]])
        owners = [np.arange(len(table))] * len(parts)
        if "turns" in table:
            said = [(row, text) for row, turns in enumerate(table["turns"]) for text in users(turns)]
            owners.append(np.array([row for row, _ in said], int))
            parts.append([overlap.normalised(text) for _, text in said])
        self.texts, self.rows = [text for part in parts for text in part], np.concatenate(owners)

    def find(self, prompts: Sequence[str]) -> pd.DataFrame:
        """Return row and place (positions in `table` and `prompts`) and kind of each row that a prompt stands in, once.

        exact: the prompt is the request, Alpaca's instruction or input, or one of the user's turns, apart from case
        and punctuation. within: the prompt's words, at least WORDS of them with LETTERS letters, stand in this order
        inside the request.
        """
        places = overlap.places(self.texts, prompts)
        exact = pd.DataFrame({"row": self.rows, "place": places, "kind": EXACT})[places >= 0]
        inside = _within(self.whole, prompts)
        within = pd.DataFrame({"row": np.arange(len(self.whole)), "place": inside, "kind": WITHIN})[inside >= 0]
        both = pd.concat([exact, within], ignore_index=True).drop_duplicates("row")
        return both.sort_values("row", ignore_index=True)


def users(turns: str) -> list[str]:
    """Return the user's messages of a row's `turns`."""
    return [text for role, text in json.loads(turns) if role == "user"] if turns else []


def _within(texts: Sequence[str], prompts: Sequence[str]) -> np.ndarray:
    """Return each normalised text's first place in `prompts` of one that it holds, -1 without one."""
    known = defaultdict(list)
    for place, prompt in enumerate(prompts):
        words = WORD.findall(overlap.normalised(prompt))
        if len(words) >= WORDS and sum(map(len, words)) >= LETTERS:
            known[tuple(words[:WORDS])].append((place, words))
    found = np.full(len(texts), -1, np.int64)
    for number, text in enumerate(texts):
        words = WORD.findall(text)
        held = (
            place
            for start, opening in enumerate(zip(*(words[shift:] for shift in range(WORDS)), strict=False))
            for place, prompt in known.get(opening, ())
            if words[start : start + len(prompt)] == prompt
        )
        found[number] = next(held, -1)
    return found
