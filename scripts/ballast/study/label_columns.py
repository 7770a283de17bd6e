"""The config's sections for labels that stand in a column of a pool's own file."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from ballast.data.marks import normal
from ballast.study.places import Name, Section


class _LabelColumn(Section):
    column: str = Field(min_length=1, description="The column's name.")

    @field_validator("values", mode="before", check_fields=False)
    @classmethod
    def _as_text(cls, values):
        """Read YAML's true, 1 and 1.0 as the text that a file's value is compared with."""
        return {normal(key): meaning for key, meaning in values.items()} if isinstance(values, dict) else values

    def __str__(self) -> str:
        return f"the file's column '{self.column}'"


class BehaviourColumn(_LabelColumn):
    """A column of the pool's file with each row's behaviour."""

    values: dict[str, Literal["T1", "T2", "T3", "T4", "unknown"]] = Field(
        {}, description="Meaning of the file's values, such as `{refusal: T1}`; T1 to T4 and unknown mean themselves."
    )


class CategoryColumn(_LabelColumn):
    """A column of the pool's file with each row's categories."""

    values: dict[str, str | int] = Field(
        {}, description="Id or name of the category that a value means; ids, names and none mean themselves."
    )


def _kind(given) -> str:
    return "[column]" if isinstance(given, dict | _LabelColumn) else "[word]"


Behaviour = Annotated[
    Annotated[Name, Tag("[word]")] | Annotated[BehaviourColumn, Tag("[column]")], Discriminator(_kind)
]
Category = Annotated[
    Annotated[Literal["llm", "cossim", "clusters"], Tag("[word]")] | Annotated[CategoryColumn, Tag("[column]")],
    Discriminator(_kind),
]
