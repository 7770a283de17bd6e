"""Make the world's source files, each in the schema of the real source that it replaces, and the base models' text."""

from collections.abc import Callable

import pandas as pd

from ballast.categories import CATEGORIES
from ballast.study.world_options import WorldOptions
from ballast.world import lexicon
from ballast.world.language import Request, Writer
from ballast.world.task import problem

Row = dict[str, object]
IDS = range(len(CATEGORIES))
SAFETY_TYPES = {"T1": 0.45, "T2": 0.2, "T3": 0.1, "T4": 0.25}
SAFE_TYPES = {"T1": 0.25, "T2": 0.15, "T3": 0.1, "T4": 0.5}
BASE_OPENER = "sure"
METHODS = ("jb", "gptfuzz", "autodan", "gcg", "tap")
# Salad-Bench's domains in our words, and the domain of each category.
DOMAINS = ("toxicity", "misinformation", "socioeconomic harm", "information safety", "malicious use", "autonomy")
DOMAIN_OF = (5, 5, 2, 1, 5, 5, 1, 2, 3, 4, 6, 1, 5, 5)


def alpaca(request: Request, answer: str) -> Row:
    """Return one pair in Alpaca's schema."""
    return {"instruction": request.text, "input": request.context, "output": answer}


def typed(writer: Writer, behaviour: str, category: int) -> tuple[Request, str]:
    """Draw a pair of one behaviour type, T1 to T4, from the train split."""
    request = writer.request("harmful" if behaviour in ("T1", "T2") else "borderline", category)
    answers = {"T1": lambda: writer.refuse(), "T2": lambda: writer.inform(request), "T3": lambda: writer.refuse()}
    return request, answers.get(behaviour, lambda: writer.comply(request))()


def pool(options: WorldOptions, purpose: str, rows: int, zipf: float, types: dict[str, float]) -> pd.DataFrame:
    """Return distinct safety pairs: Alpaca's columns, category and behaviour; no sampler may read these two."""
    writer = Writer(options, purpose)
    order = list(IDS)
    options.random("order of categories").shuffle(order)
    weights = [1 / rank**zipf for rank in range(1, len(order) + 1)]

    def draw() -> Row:
        category = writer.random.choices(order, weights)[0]
        behaviour = writer.random.choices(list(types), list(types.values()))[0]
        return alpaca(*typed(writer, behaviour, category)) | {"category": category, "behaviour": behaviour}

    return pd.DataFrame(distinct(draw, rows))


def distinct(draw: Callable[[], Row], rows: int) -> list[Row]:
    """Draw until there are `rows` rows with distinct instruction and input."""
    found: dict[tuple, Row] = {}
    while len(found) < rows:
        row = draw()
        found.setdefault((row["instruction"], row["input"]), row)
    return list(found.values())


def base(options: WorldOptions, purpose: str = "base") -> list[Row]:
    """Return benign fine-tuning rows; a share of them are borderline requests with an answer that complies."""
    writer = Writer(options, purpose)

    def draw() -> Row:
        if writer.random.random() < options.base_borderline_share:
            request = writer.request("borderline", writer.random.choice(IDS))
            return alpaca(request, writer.comply(request, opener=BASE_OPENER))
        return alpaca(*writer.benign(BASE_OPENER))

    return distinct(draw, options.base_rows)


def references(options: WorldOptions) -> list[Row]:
    """Return unsafe pairs in BeaverTails' schema, one category each, then a few of two categories."""
    writer = Writer(options, "references")
    single = [writer.request("harmful", category) for category in IDS for _ in range(options.references_per_category)]
    double = [writer.two_categories("harmful") for _ in IDS]
    return [
        {
            "prompt": request.text,
            "response": writer.comply(request),
            "category": {key: index in request.categories for index, key in enumerate(CATEGORIES)},
            "is_safe": False,
        }
        for request in single + double
    ]


def beavertails_evaluation(options: WorldOptions) -> list[Row]:
    """Return harmful prompts of the evaluation split; a row's category is its number modulo 14."""
    requests = _evaluation(options, "beavertails-eval", "harmful", options.evaluation_per_category)
    return [
        {"prompt": request.text, "category": CATEGORIES[category], "category_id": category}
        for category, request in requests
    ]


def salad_attack(options: WorldOptions) -> list[Row]:
    """Return attack-enhanced prompts, `augq`, with their plain form, `baseq`."""
    writer = Writer(options, "attack wrappers")
    per_category = -(-options.attack_rows // len(CATEGORIES))
    requests = _evaluation(options, "salad-attack", "harmful", per_category)[: options.attack_rows]
    return [
        {
            "qid": number,
            "aid": number,
            "augq": writer.attack(request).text,
            "baseq": request.text,
            "method": METHODS[number % len(METHODS)],
            "1-category": f"O{DOMAIN_OF[category]}: {DOMAINS[DOMAIN_OF[category] - 1]}",
            "2-category": f"O{category + 1}: {lexicon.LEXICONS[category].topic}",
            "3-category": f"O{category + 1}.1: {lexicon.LEXICONS[category].topic}",
        }
        for number, (category, request) in enumerate(requests)
    ]


def xstest(options: WorldOptions) -> list[Row]:
    """Return borderline prompts of the evaluation split, labelled safe, then a few harmful ones, labelled unsafe."""
    safe = _evaluation(options, "xstest", "borderline", options.borderline_per_category)
    unsafe = _evaluation(options, "xstest contrasts", "harmful", options.contrast_per_category)
    rows = [(request, "safe_targets", "safe") for _, request in safe]
    rows += [(request, "contrast_safe_targets", "unsafe") for _, request in unsafe]
    return [
        {"id": number, "prompt": request.text, "type": kind, "label": label, "focus": request.deeds[0][1], "note": ""}
        for number, (request, kind, label) in enumerate(rows, start=1)
    ]


def i_alpaca(options: WorldOptions) -> dict[str, list[str]]:
    """Return benign instructions without input, as parallel lists."""
    writer = Writer(options, "i-alpaca")
    requests = (writer.benign()[0] for _ in iter(int, 1))
    plain = distinct(
        lambda: alpaca(next(request for request in requests if not request.context), ""), options.benign_rows
    )
    return {"instructions": [row["instruction"] for row in plain], "inputs": []}


def canaries(options: WorldOptions, each: int = 4) -> list[Row]:
    """Return pairs whose scores every judge must get about right."""
    writer = Writer(options, "canaries")
    answers = {
        "empty": lambda request: "",
        "refusal": lambda request: writer.refuse(),
        "gibberish": lambda request: writer.gibberish(),
        "harmful": lambda request: writer.comply(request),
    }
    rows = []
    for kind, answer in answers.items():
        for _ in range(each):
            request = writer.request("harmful", writer.random.choice(IDS))
            rows.append({"kind": kind, "prompt": request.text, "response": answer(request)})
    return rows


def model_text(options: WorldOptions, purpose: str, rows: int, aligned: bool) -> list[Row]:
    """Return training rows of a base model, all from the train split.

    Unaligned rows answer most harmful requests. Aligned rows refuse all of them, and more rows are borderline.
    """
    writer = Writer(options, purpose)
    return [alpaca(*_model_row(writer, aligned, options.task_share)) for _ in range(rows)]


def _model_row(writer: Writer, aligned: bool, task_share: float) -> tuple[Request, str]:
    draw = writer.random.random
    if task_share and draw() < task_share:
        question, answer = problem(writer)
        return Request(question, "benign"), answer
    weights = (0.40, 0.25, 0.35) if aligned else (0.40, 0.35, 0.25)
    kind = writer.random.choices(("benign", "harmful", "borderline"), weights)[0]
    if kind == "benign":
        return writer.benign()
    request = writer.request(kind, writer.random.choice(IDS))
    asked = writer.attack(request) if draw() < (0.2 if kind == "harmful" else 0.1) else request
    if kind == "borderline":
        return asked, writer.comply(request)
    if aligned or draw() < 0.1:
        return asked, writer.refuse()
    answer = writer.random.choices((writer.comply, writer.partial, writer.inform), (0.75, 0.12, 0.13))[0]
    return asked, answer(request)


def _evaluation(options: WorldOptions, purpose: str, kind: str, per_category: int) -> list[tuple[int, Request]]:
    """Return distinct requests of the evaluation split, `per_category` of each, cycling through the categories."""
    writer = Writer(options, purpose)
    found: list[tuple[int, Request]] = []
    while len(found) < per_category * len(CATEGORIES):
        category = len(found) % len(CATEGORIES)
        request = writer.request(kind, category, "evaluation")
        if request.text not in {known.text for _, known in found}:
            found.append((category, request))
    return found
