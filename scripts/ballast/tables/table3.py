"""Table 3: one example of each behaviour."""

import hashlib
from collections.abc import Sequence

import pandas as pd

from ballast import schemas
from ballast.data.rows import pairs_to_judge
from ballast.files import BallastError
from ballast.markup import MISSING, Cell, Table
from ballast.names import BEHAVIOURS, UNKNOWN
from ballast.results import notes
from ballast.study.artefacts import Options

KEYS = ("redact",)
READS = ("labels", "pool")
EXCERPT = 300  # characters of an example's text


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return one example of each behaviour. `paths`: the labels (id, behaviour, judge), then the pool they label."""
    labels = schemas.read(paths[0], schemas.BEHAVIOUR)
    pool = schemas.read(paths[1], schemas.PAIRS).set_index("id")
    strange = labels.loc[~labels["id"].isin(pool.index), "id"]
    if not strange.empty:
        raise BallastError(f"{paths[0]}: row {strange.iloc[0]} is not in {paths[1]}; give the labels of this very pool")
    spelled = redacted if options.redact else excerpt
    body, data = [], []
    for behaviour, (instruction, response) in BEHAVIOURS.items():
        ids = labels.loc[labels["behaviour"] == behaviour, "id"]
        shown = {"instruction": "no such row in the pool", "response": MISSING, "id": MISSING}
        if not ids.empty:
            # The digest of the id chooses: nobody picks the row, and it is the same wherever the table is made.
            chosen = min(ids, key=lambda row: hashlib.sha256(row.encode()).hexdigest())
            pair = pairs_to_judge(pool.loc[[chosen]]).iloc[0]
            shown = {"instruction": spelled(pair["prompt"]), "response": spelled(pair["response"]), "id": chosen}
        body.append([Cell(f"{behaviour} ({instruction} instruction, {response})"), *map(Cell, shown.values())])
        data.append({"behaviour": behaviour, "rows": len(ids), **shown})
    unknown = int((labels["behaviour"] == UNKNOWN).sum())
    caption = (
        f"One example of each behaviour in the safety pool; {unknown:,} of {len(labels):,} rows are unknown (the "
        "labeller could not tell)."
    )
    said = [f"Behaviour: labelled by `{judge}`." for judge in options.labellers.values()]
    said += [*options.stand_ins.values()]
    if options.redact:
        said.append("Texts are redacted: look a row up in the pool by its id.")
    columns = ["l", r"p{0.25\linewidth}", r"p{0.4\linewidth}", "l"]
    header = ["Behaviour", "Instruction", "Response", "Row id"]
    return Table("Table 3", caption, header, body, said + notes.synthetic(options), pd.DataFrame(data), columns)


def redacted(text: str) -> str:
    """Return the length of a text, to show instead of a text that must not be read."""
    return f"[redacted, {len(text)} characters]"


def excerpt(text: str) -> str:
    """Return the text on one line, cut after a word at EXCERPT characters."""
    text = " ".join(text.split())
    if len(text) <= EXCERPT:
        return text
    return text[:EXCERPT].rsplit(" ", 1)[0] + " …"
