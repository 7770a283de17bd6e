"""The check of plain English in `make lint`: it finds each bad habit, and leaves plain sentences alone."""

import pytest

from plain_english import comments, findings, markdown, python


def found(text: str, docstring: bool = False) -> list[str]:
    return [" ".join(words.split()) for _, words, _ in findings(text, docstring)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What is made again as it was trains nothing.", "What is made"),
        ("It ran. Whether it is good depends on the prompt.", "Whether it is"),
        ("That each cell is lower is shown by its interval.", "That each cell"),
        ("Of a chat the last answer is the response.", "Of a chat"),
        ("How many rows are T1 is shown in Figure 5.", "How many rows"),
        ("None is told from Random.", "told from"),
        ("Random-B less it in harm is -0.02.", "less it"),
        ("The file has what a judge\nsaid of it.", "said of"),
        ("The sampling experiment alone is looked at.", "looked at"),
        ("All methods stand beside each other.", "beside each other"),
        ("It measures the model as it is, then the adapter.", "as it is"),
        ("Batches that are there are kept.", "that are there"),
        ("Name a path in the place of the source.", "in the place of"),
        ("There is one job a run.", "one job a"),
    ],
)
def test_a_bad_habit_is_found(text, words):
    assert words in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "If inputs are unchanged, nothing retrains.",
        "What does it cost?",
        "That manifest represents the files. That is a resource.",
        "Of 14 rows, `sss-b` keeps 13.0.",
        "Random-B minus SSS-B: harm -0.02",
        "The judge says unsafe. Each row says which model made it.",
        "Look at the table.",
        "It copies the line as it is printed.",
        "No row is lost, and less is stored.",
        "The word `told from` is quoted.",
        "Start one job and a second one.",
        "The model that is therefore faster wins.",
    ],
)
def test_a_plain_sentence_is_left_alone(text):
    assert not found(text)


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("What a study needs.", True),
        ("Whether a row is unsafe", True),
        ("How a job reaches the process", True),
        ("Return what a study needs.", False),
        ("The study's config, checked.", False),
    ],
)
def test_a_docstring_starts_with_a_verb(text, bad):
    assert bool(found(text, docstring=True)) == bad


def test_code_blocks_and_headings_of_a_page_are_no_prose():
    page = (
        "# What it costs.\n\n```\nWhat a line is.\n```\n\nGood.\n\n- What is bad is\n  here.\n\n| a | What it is. |\n"
    )
    prose = [(line, text.strip()) for line, text, _ in markdown(page) if found(text)]
    assert prose == [(9, "What is bad is\n  here."), (12, "What it is.")]


def test_comments_strings_and_docstrings_of_code_are_read():
    code = (
        '"""What a file\nis."""\n# What is read\n# is text.\nx = f(  # seen as it is.\n    "What it "\n    "is.",\n)\n'
    )
    read = [(line, docstring, found(text, docstring)) for line, text, docstring in python(code)]
    assert read == [
        (1, True, ["What a file"]),
        (3, False, ["What is read"]),
        (5, False, ["as it is"]),
        (6, False, ["What it is."]),
    ]
    assert [found(text) for _, text, _ in comments("a: 1  # told from b\n# ---- What it\n# is.\n")] == [
        ["told from"],
        ["What it is."],
    ]
