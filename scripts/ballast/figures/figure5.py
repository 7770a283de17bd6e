"""Figure 5: how many rows of the pool show each behaviour."""

from collections.abc import Sequence

import pandas as pd

from ballast import schemas
from ballast.names import BEHAVIOURS, UNKNOWN
from ballast.results import notes, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

READS = ("labels",)


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw how many rows of the pool show each behaviour. `paths`: the labels."""
    labels = schemas.read(paths[0], schemas.BEHAVIOUR)
    kinds = [*BEHAVIOURS, UNKNOWN]
    count = labels["behaviour"].value_counts().reindex(kinds, fill_value=0)
    data = pd.DataFrame({"behaviour": kinds, "rows": count.to_numpy(), "percent": 100 * count.to_numpy() / len(labels)})
    said = [f"Behaviour: labelled by {judge}." for judge in options.labellers.values()]
    said += [*options.stand_ins.values(), "unknown: the labeller could not tell."]
    said = [f"Study {options.study}.", *said, *notes.synthetic(options)]
    canvas = style.canvas(1, 1.4, said)
    panel = canvas.panels[0]
    panel.barh(kinds, data["rows"], height=0.66, color=[style.BEHAVIOUR_HUES[kind] for kind in kinds])
    for place, (number, percent) in enumerate(zip(data["rows"], data["percent"], strict=True)):
        text = f"{number:,}  ({percent:.1f} %)"
        panel.annotate(text, (number, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    explained = [
        f"{kind}   {instruction} instruction, {response}" for kind, (instruction, response) in BEHAVIOURS.items()
    ]
    panel.set_yticks(range(len(kinds)), [*explained, "unknown"])
    panel.invert_yaxis()
    panel.set_xlim(0, 1.3 * max(data["rows"].max(), 1))
    panel.set_xlabel(f"rows of the pool (of {len(labels):,})")
    panel.grid(axis="y", visible=False)
    panel.grid(axis="x", visible=True)
    return Drawn(canvas.figure, data.round(6))
