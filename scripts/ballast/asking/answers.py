"""Answers of a language model, with token and retry counts."""

import sys
from collections import Counter
from dataclasses import dataclass, field

from ballast.asking import thinking


@dataclass(frozen=True)
class Answer:
    """One text's answer. If there is none, `text` is None and `missing` gives the reason."""

    text: str | None
    missing: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    retries: int = 0
    cut: bool = False


@dataclass(frozen=True)
class Answers:
    """Answers in the order of the texts (None for a text without one), without reasoning, with counts.

    Counts are over distinct texts, each asked once. Token counts are None if an answer came without them. `missing`
    counts the texts without an answer by reason. `cut` counts the answers that reached max_new_tokens, `thinking` those
    that hold reasoning, `unfinished` those that hold nothing else: they are empty. `kept` counts the texts that an
    earlier job answered; their tokens are included.
    """

    answers: list[str | None]
    input_tokens: int | None
    output_tokens: int | None
    retries: int
    missing: dict[str, int]
    cut: int
    thinking: int
    unfinished: int
    distinct: int
    kept: int
    cuts: list[bool] = field(default_factory=list)  # whether each text's answer reached max_new_tokens

    @classmethod
    def of(cls, texts: list[str], found: dict[str, Answer], kept: int) -> "Answers":
        """Return the answers to `texts`, given those of its distinct texts; say on stderr if models thought."""
        distinct = [found[text] for text in dict.fromkeys(texts)]
        given = {text: answer for text, answer in found.items() if answer.text is not None}
        said = {text: thinking.answer(answer.text) for text, answer in given.items()}
        if any(map(thinking.begins_inside, (answer.text for answer in given.values()))):
            # The server's template opens the reasoning: a cut answer without a mark is reasoning alone.
            said |= {text: None for text, answer in given.items() if answer.cut and said[text] == answer.text}
        thought, unfinished = sum(said[text] != given[text].text for text in said), list(said.values()).count(None)
        if thought:
            print(f"reasoning cut off {thought} answers; {unfinished} of them never ended it", file=sys.stderr)
        return cls(
            answers=[said[text] or "" if text in said else None for text in texts],
            input_tokens=_total([answer.input_tokens for answer in distinct]),
            output_tokens=_total([answer.output_tokens for answer in distinct]),
            retries=sum(answer.retries for answer in distinct),
            missing=dict(sorted(Counter(answer.missing for answer in distinct if answer.text is None).items())),
            cut=sum(answer.cut for answer in distinct),
            thinking=thought,
            unfinished=unfinished,
            distinct=len(distinct),
            kept=kept,
            cuts=[found[text].cut for text in texts],
        )


def _total(counts: list[int | None]) -> int | None:
    return None if None in counts else sum(counts)
