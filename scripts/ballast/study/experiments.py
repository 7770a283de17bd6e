"""The sections of a study's config about what to run and measure: experiments, models to measure, limits."""

from typing import Annotated

from pydantic import Field

from ballast.study.places import Name, PositiveInt, Section


class Experiment(Section):
    """A grid of runs: every model, pool, sampler, n and trial."""

    models: list[Name] = Field(min_length=1, description="Keys of `models`.")
    pools: list[Name] = Field(min_length=1, description="Keys of `pools`.")
    samplers: list[Name] = Field(
        min_length=1, description="Samplers, or keys of `methods`; `none` trains once per trial, with n 0."
    )
    n: list[PositiveInt] = Field(min_length=1, description="Numbers of safety examples.")
    trials: PositiveInt = Field(3, description="Repetitions, each with its own sampling and training seed.")
    deterministic_trials: PositiveInt | None = Field(
        None, description="Repetitions of samplers that always pick the same rows; the default is `trials`."
    )
    metrics: list[Name] = Field(
        ["harm", "asr", "over_refusal", "helpfulness"],
        min_length=1,
        description="Metrics of these runs: keys of `metrics` and `other_metrics`.",
    )


class BaseSize(Experiment):
    """A grid of runs that is repeated on shares of the base data."""

    base_percent: list[Annotated[PositiveInt, Field(le=100)]] = Field(
        min_length=2, description="Shares of the base data in percent; those of one trial hold the smaller ones."
    )


class Experiments(Section):
    """The paper's experiments and ours; a missing experiment has no table or figure."""

    sampling: Experiment | None = Field(None, description="Tables 1 and 2, Figures 3, 4 and 6.")
    behaviour: Experiment | None = Field(None, description="Figure 2: one behaviour at a time.")
    transfer: Experiment | None = Field(None, description="Table 4: other models.")
    rewriting: Experiment | None = Field(None, description="Figure 7: a T1-rewritten pool, then a safe one.")
    forgetting: Experiment | None = Field(
        None, description="Table 5, ours: models before and after fine-tuning on base data alone."
    )
    beyond: Experiment | None = Field(
        None, description="Other methods, ours: `tables/beyond`, `figures/beyond` and `spent.md`."
    )
    base_size: BaseSize | None = Field(
        None, description="Shares of the base data, ours: `tables/base-size`, `figures/base-size`."
    )
    checks: Experiment | None = Field(
        None,
        description="Other harmful prompts and second tasks, ours: `checks.md`.",
    )
    relabelling: Experiment | None = Field(
        None, description="Pools with the same rows and labels of different judges, ours: `checks.md`."
    )
    swapping: Experiment | None = Field(
        None, description="A pool, and another one with its requests (`requests_of`), ours: `gradients.md`."
    )


class Measure(Section):
    """Models to measure: one before, others after a fine-tuning that somebody made."""

    before: Name = Field(description="A key of `models`.")
    after: list[Name] = Field(min_length=1, description="Keys of `models`.")
    runs: bool = Field(
        False, description="True if the models after are runs of one fine-tuning: they are shown as one, over all runs."
    )
    metrics: list[Name] = Field(
        ["harm", "over_refusal"], min_length=1, description="Keys of `metrics` and `other_metrics`."
    )
    harness: dict[Name, str] = Field(
        {}, description="Results files of lm-evaluation-harness by model, such as IFEval's, to show beside."
    )

    @property
    def models(self) -> list[str]:
        """The models, the one before first."""
        return list(dict.fromkeys([self.before, *self.after]))


class Targets(Section):
    """Limits for the advice; null turns a limit off."""

    harm: float | None = Field(
        0.8, description="Highest mean harm, in its judge's unit; the default is a fifth of the scale (20 %)."
    )
    asr: float | None = Field(None, ge=0, le=100, description="Highest attack success rate in %.")
    over_refusal: float | None = Field(20, ge=0, le=100, description="Highest over-refusal in %.")
    helpfulness_loss: float | None = Field(
        None, ge=0, description="Largest loss of mean helpfulness against base data alone, in the judge's unit."
    )
