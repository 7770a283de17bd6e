"""Take a model's reasoning off its answer: Qwen3, DeepSeek-R1 and others write it first, between two marks.

A server without a reasoning parser, and every local model, gives the block as a part of the text.
"""

import re

_TAG = r"(?:\w+:)?(?:think|thinking|thought|reasoning)\s*>"
# The marks that open and close a block, by family.
_BLOCKS = [
    (re.compile(opening), re.compile(closing))
    for opening, closing in (
        (rf"(?i)<{_TAG}", rf"(?i)(?<![`'\"])</{_TAG}"),  # DeepSeek-R1, Qwen3 and most; Seed-OSS with a prefix
        (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
        ("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi
        (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # Sky-T1, OpenThinker
        (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A
        (r"<\|channel>thought", r"<channel\|>"),  # Gemma 4
        (r"<\|channel\|>(?:analysis|commentary)", r"<\|channel\|>final(?:<\|[^|<]*\|>[^<]*)?<\|message\|>"),  # gpt-oss
        (r"analysis(?=[A-Z])", "assistantfinal"),  # the same without its special tokens
    )
]
# Marks of some models around the answer that follows.
_AROUND = re.compile(
    r"(?s)<(?:answer|response|\|begin_of_solution\||\|START_RESPONSE\|)>\s*(.*?)\s*"
    r"(?:</(?:answer|response)>|<\|end_of_solution\|>|<\|END_RESPONSE\|>)?\s*"
)
_BEFORE = re.compile("[\\s\u200b\ufeff]*")


def answer(text: str) -> str | None:
    """Return the text after its reasoning; None if the reasoning never ends; a text without any unchanged.

    A block without an opening mark counts too: some chat templates write that mark into the prompt.
    """
    closed = _alone(text)
    rest = text[closed:].lstrip() if closed else text
    while (found := _leading(rest)) is not None:
        if not found:
            return None
        rest, closed = rest[found:].lstrip(), found
    around = _AROUND.fullmatch(rest) if closed else None
    return around[1] if around else rest


def begins_inside(text: str) -> bool:
    """Return whether a text closes reasoning that it does not open."""
    return _alone(text) is not None


def opening(prompt: str) -> str:
    """Return the mark that opens a block at the end of a prompt, with the space after it; empty if there is none."""
    found = [mark for opening, _ in _BLOCKS for mark in opening.finditer(prompt) if not prompt[mark.end() :].strip()]
    return prompt[found[0].start() :] if found else ""


def counts(texts: list[str]) -> tuple[int, int]:
    """Return how many texts have reasoning, and how many of those have nothing else: it never ended."""
    answers = [(text, answer(text)) for text in texts]
    return sum(text != said for text, said in answers), sum(said is None for _, said in answers)


def _alone(text: str) -> int | None:
    """Return where a block ends whose opening mark is not in the text."""
    ends = ((opening, closing.search(text)) for opening, closing in _BLOCKS)
    return next((end.end() for opening, end in ends if end and not opening.search(text, 0, end.start())), None)


def _leading(text: str) -> int | None:
    """Return where the block ends that opens the text, 0 if it never ends, None if there is none."""
    start = _BEFORE.match(text).end()
    for opening, closing in _BLOCKS:
        if opened := opening.match(text, start):
            end = closing.search(text, opened.end())
            return end.end() if end else 0
    return None
