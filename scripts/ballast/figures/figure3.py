"""Figure 3: harm by n, each behavioural sampler against Random."""

from collections.abc import Sequence

from ballast.results import paper_figures
from ballast.results.style import Drawn
from ballast.samplers import split
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm",)
ONE = ("models", "pools")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm by n: each behavioural sampler against Random."""
    return paper_figures.against_random("figure 3", "harm", shown, options, paths)


def shown(sampler: str) -> bool:
    """Return whether a sampler picks among the rows of one behaviour."""
    return split(sampler)[1] is not None
