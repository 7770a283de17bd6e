"""Answers of a language model, with token and retry counts."""

from collections import Counter
from dataclasses import dataclass


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
    """Answers in the order of the texts (None for a text without one), with counts.

    Counts are over distinct texts, each asked once. Token counts are None if an answer came without them. `missing`
    counts the texts without an answer by reason. `cut` counts the answers that reached max_new_tokens. `kept` counts
    the texts that an earlier job answered; their tokens are included.
    """

    answers: list[str | None]
    input_tokens: int | None
    output_tokens: int | None
    retries: int
    missing: dict[str, int]
    cut: int
    distinct: int
    kept: int

    @classmethod
    def of(cls, texts: list[str], found: dict[str, Answer], kept: int) -> "Answers":
        """Return the answers to `texts`, given those of its distinct texts."""
        distinct = [found[text] for text in dict.fromkeys(texts)]
        return cls(
            answers=[found[text].text for text in texts],
            input_tokens=_total([answer.input_tokens for answer in distinct]),
            output_tokens=_total([answer.output_tokens for answer in distinct]),
            retries=sum(answer.retries for answer in distinct),
            missing=dict(sorted(Counter(answer.missing for answer in distinct if answer.text is None).items())),
            cut=sum(answer.cut for answer in distinct),
            distinct=len(distinct),
            kept=kept,
        )


def _total(counts: list[int | None]) -> int | None:
    return None if None in counts else sum(counts)
