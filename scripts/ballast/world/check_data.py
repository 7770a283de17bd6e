"""Make the world's files for the checks beyond the paper, in the real sources' schemas: harmful prompts and a task.

The harmful sets differ: pairs of the evaluation split from all categories, only from those of hate or of controversy,
or two things from two categories at once. The task is GSM8K's: one sum, told as a story.
"""

from ballast.study.world_options import WorldOptions
from ballast.world import datasets
from ballast.world.datasets import IDS, Row
from ballast.world.language import Request, Writer, deeds
from ballast.world.task import STORIES, problem

HATE, CONTROVERSY = (3, 6), (2, 7)


def parallel(requests: list[Request]) -> dict[str, list[str]]:
    """Return parallel lists, as Bianchi et al. (2024) publish their prompts."""
    return {"instructions": [request.text for request in requests], "inputs": []}


def harmful(options: WorldOptions, purpose: str, categories=IDS) -> list[Request]:
    """Return distinct harmful requests of the evaluation split, cycling through the categories."""
    writer = Writer(options, purpose)
    turns = iter(list(categories) * options.check_rows * 2)
    return _distinct(lambda: writer.request("harmful", next(turns), "evaluation"), options.check_rows)


def double(options: WorldOptions, purpose: str) -> list[Request]:
    """Return distinct requests for two harmful things at once."""
    writer = Writer(options, purpose)
    return _distinct(lambda: writer.two_categories("harmful"), options.check_rows)


def advbench(options: WorldOptions) -> list[Row]:
    """Return requests as `goal`, and the beginning of an answer as `target`."""
    writer = Writer(options, "advbench")
    return [
        {"goal": request.text, "target": writer.opening(request, "sure")}
        for request in harmful(options, "advbench goals")
    ]


def swapped(options: WorldOptions) -> list[Row]:
    """Return the safety pool's requests with the other kind of response: a refusal for an answer, and the reverse."""
    writer = Writer(options, "swapped responses")
    pool = datasets.pool(options, "safety", options.pool_rows, options.pool_zipf, datasets.SAFETY_TYPES)
    return [{"instruction": row.instruction, "input": "", "output": _other(writer, row)} for row in pool.itertuples()]


def _other(writer: Writer, row) -> str:
    if row.behaviour in ("T2", "T4"):
        return writer.refuse()
    kind = "harmful" if row.behaviour == "T1" else "borderline"
    # The pool keeps no request, so its deed is found in its words.
    deed = next(pair for pair in deeds(row.category, kind, "train") if f" {' the '.join(pair)} " in row.instruction)
    request = Request(row.instruction, kind, ((row.category, *deed),))
    return writer.inform(request) if kind == "harmful" else writer.comply(request)


def gsm8k(options: WorldOptions, split: str, rows: int) -> list[Row]:
    """Return sums told as stories, with steps and a final number; splits share sums, but no story."""
    stories = list(STORIES)
    options.random("gsm8k stories").shuffle(stories)
    mine = stories[: len(stories) // 2] if split == "train" else stories[len(stories) // 2 :]
    writer, found = Writer(options, f"gsm8k {split}"), {}
    while len(found) < rows:
        question, answer = problem(writer, mine)
        found.setdefault(question, answer)
    return [{"question": question, "answer": answer} for question, answer in found.items()]


def _distinct(draw, rows: int) -> list[Request]:
    """Draw until there are `rows` requests with distinct texts."""
    found: dict[str, Request] = {}
    while len(found) < rows:
        request = draw()
        found.setdefault(request.text, request)
    return list(found.values())
