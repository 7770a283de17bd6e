"""Table 1: harm by sampler and n."""

from collections.abc import Sequence

from ballast.markup import Table
from ballast.results import paper_tables
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm",)
ONE = ("models", "pools")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return the harm of each sampler at each n."""
    title = "Harm of {model} after fine-tuning with n safety examples"
    return paper_tables.by_n(1, "harm", title, options, paths[0])
