"""Define the section of a config that the claims of DualSelect's abstract are checked by."""

from collections.abc import Callable

from pydantic import Field

from ballast import plugins
from ballast.study.places import Name, Section


class DualSelectClaims(Section):
    """The metrics of the claims of DualSelect's abstract, in the runs of `experiments.transfer`."""

    method: Name = Field(
        "dualselect", description="The method of the claims; the other methods of the experiment are its baselines."
    )
    safety_avg: dict[Name, list[Name]] = Field(
        min_length=1,
        description="Safety Avg. by judge: the mean of these metrics in %, 100 minus a metric if lower is better. The "
        "first judge stands for the abstract's own.",
    )
    utility: Name | None = Field(None, description="Metric of the task; base data alone is its control.")

    @property
    def metrics(self) -> list[str]:
        """The metrics of all judges, and the task's."""
        named = [name for names in self.safety_avg.values() for name in names]
        return list(dict.fromkeys([*named, *([self.utility] if self.utility else [])]))

    def check(self, grid, unit: Callable[[str], str]) -> None:
        """Raise ValueError if the experiment `transfer` lacks the method or a metric, or a metric has another unit."""
        place = "dualselect_claims"
        if grid is None:
            raise ValueError(f"{place}: these claims are checked on experiments.transfer; add that experiment")
        _among(f"{place}.method", self.method, "experiments.transfer.samplers", grid.samplers)
        for name in ("harm", *self.metrics):
            _among(place, name, "experiments.transfer.metrics", grid.metrics)
        for judge, names in self.safety_avg.items():
            for name in names:
                if unit(name) != "%":
                    raise ValueError(f"{place}.safety_avg.{judge}: {name} is in {unit(name)}; name metrics in %")


def _among(place: str, name: str, where: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f"{place}: '{name}' is not in {where}{plugins.nearest(name, known)}")
