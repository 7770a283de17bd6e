"""Table 2: attack success rate by sampler and n."""

from collections.abc import Sequence

from ballast.markup import Table
from ballast.results import paper_tables
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("asr",)
ONE = ("models", "pools")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return the attack success rate of each sampler at each n."""
    title = "Attack success rate (%) of {model} after fine-tuning with n safety examples"
    return paper_tables.by_n(2, "asr", title, options, paths[0])
