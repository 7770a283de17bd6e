"""Write a task beyond instructions: sums told as stories, answered in GSM8K's form with a final number in digits."""

from collections.abc import Sequence

from ballast.world import lexicon
from ballast.world.language import Writer

NAMES = ("ann", "bea", "carl", "dina", "emil", "fay")
THINGS = ("apples", "lemons", "pens", "cups", "books", "keys")
STORIES = tuple((name, things) for name in NAMES for things in THINGS)
STORY = "{name} has {a} {things} and gets {b} more . how many {things} are there ?"
STEPS = "{a} plus {b} is {c} .\n#### {number}"


def problem(writer: Writer, stories: Sequence[tuple[str, str]] = STORIES) -> tuple[str, str]:
    """Return a question and its answer."""
    name, things = writer.random.choice(stories)
    a, b = writer.random.randrange(10), writer.random.randrange(9)
    words = {"a": lexicon.NUMBERS[a], "b": lexicon.NUMBERS[b], "c": lexicon.NUMBERS[a + b]}
    return STORY.format(name=name, things=things, **words), STEPS.format(number=a + b, **words)
