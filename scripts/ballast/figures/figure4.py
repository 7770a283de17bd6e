"""Figure 4: attack success rate by n, every sampler against Random."""

from collections.abc import Sequence

from ballast.results import paper_figures
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("asr",)
ONE = ("models", "pools")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw attack success rate by n: every sampler against Random."""
    return paper_figures.against_random("figure 4", "asr", shown, options, paths)


def shown(sampler: str) -> bool:
    """Return whether the figure shows a sampler: any."""
    return True
