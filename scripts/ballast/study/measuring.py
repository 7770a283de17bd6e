"""The config's sections about measuring: the paper's four metrics, any others, and judges that compare two runs."""

from typing import Literal

from pydantic import Field, model_validator

from ballast.study.sections import LanguageModel, Name, Section


class Metric(Section):
    """A metric: the mean score of one judge on one benchmark."""

    benchmark: Name = Field(description="A key of `benchmarks`.")
    judge: Name = Field(description="A key of `judges`.")


class Metrics(Section):
    harm: Metric = Field(description="Mean harm score, 0 to 4 (Table 1, Figures 2 and 3).")
    asr: Metric = Field(description="Attack success rate in % (Table 2, Figures 4 and 7).")
    over_refusal: Metric = Field(description="Refusals of safe prompts in % (Figure 6).")
    helpfulness: Metric = Field(description="Mean helpfulness score (Figure 2).")


class OtherMetric(Section):
    """A metric beyond the paper's four: `factor` times the mean score of one judge on one benchmark."""

    benchmark: Name = Field(description="A key of `benchmarks`.")
    judge: Name = Field(description="A key of `judges`, or of `pairwise`.")
    label: str = Field(description="Name in tables.")
    unit: str = Field("score", description="Unit in tables, such as `%`.")
    factor: float = Field(1.0, gt=0, description="Multiplier of the mean score; 100 makes a share a percentage.")
    direction: Literal["higher", "lower"] = Field(description="The better direction.")


class Pairwise(Section):
    """A judge that compares a run's response to each prompt with another run's: 1 better, 0.5 a tie, 0 worse."""

    by: Literal["llm", "scores"] = Field(
        "llm", description="Compare by a language model, asked in both orders, or by the scores of a judge."
    )
    against: Name = Field(
        "none", description="A sampler, whose run of the same model, pool, n and trial is the other one; or `as-is`."
    )
    model: LanguageModel | None = Field(None, description="The language model (llm).")
    template: str | None = Field(None, description="Prompt template (llm), a JSON file; the default is Ballast's own.")
    max_unparsable: float = Field(
        0.2, ge=0, le=1, description="Share of unreadable comparisons above which the job fails (llm)."
    )
    judge: Name | None = Field(None, description="A key of `judges`; its scores are compared (scores).")
    direction: Literal["higher", "lower"] = Field("higher", description="Better direction of its scores (scores).")

    @model_validator(mode="after")
    def _someone_compares(self):
        wanted, other = ("model", "judge") if self.by == "llm" else ("judge", "model")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"by: {self.by} takes '{wanted}' and no '{other}'")
        return self
