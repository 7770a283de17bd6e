"""The config's section for labels of pools."""

from typing import Annotated, Literal

from pydantic import Field

from ballast.study.label_columns import Behaviour, Category
from ballast.study.places import Languages, Name, PositiveInt, Section
from ballast.study.sections import LanguageModel


class Labels(Section):
    behaviour: Behaviour = Field(
        "wildguard",
        description="Judge that labels pool rows T1-T4 (wildguard, qwen3guard or refusal-string, also by an endpoint), "
        "or a column of the pool's file.",
    )
    category: Category = Field(
        "llm",
        description="Labeller of categories: a causal LM (llm), the nearest reference set (cossim), k-means of the "
        "pool's embeddings (clusters), or a column of the pool's file.",
    )
    clusters: Annotated[PositiveInt, Field(ge=2, le=100)] = Field(
        14, description="Number of clusters, if they are the categories."
    )
    category_model: LanguageModel | None = Field(None, description="Model of the llm labeller.")
    category_template: str | None = Field(
        None, description="Prompt template of the llm labeller, a JSON file; the default is Ballast's own."
    )
    category_languages: Languages = Field(
        ["en"], description="Languages that the llm labeller reads, by ISO 639 code, or any."
    )
    other_languages: Literal["stop", "keep"] = Field(
        "stop",
        description="Action if over 5 % of a pool are in a language that its judge, llm labeller or encoder does not "
        "read.",
    )
    max_unparsable: float = Field(0.2, ge=0, le=1, description="Share of unreadable answers above which the job fails.")
    annotation_rows: PositiveInt = Field(100, description="Rows in the sheet that people fill in.")
    annotations: str | None = Field(None, description="A filled copy of that sheet, for `agreement`.")
    annotation_responses: PositiveInt = Field(
        400, description="Responses to draw for the sheet in which people check the judges; equal texts share a row."
    )
    response_annotations: dict[Name, str] = Field(
        {}, description="Filled copies of that sheet by annotator, for `agreement`."
    )
