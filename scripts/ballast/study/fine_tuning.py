"""The config's sections about fine-tuning: adapter, steps, gradients of rows, methods."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from ballast import plugins
from ballast.names import BEHAVIOURS
from ballast.study.places import Dtype, Gpus, Name, NaturalInt, PositiveInt, Quantize, Section
from ballast.training.tracking import TRACKERS

ALL = "all-linear"
WORD_OR_LIST = BeforeValidator(
    lambda given: [given] if given == ALL else given, json_schema_input_type=list[str] | Literal[ALL]
)
# Those of transformers that need no arguments of their own.
SCHEDULES = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)


class Lora(Section):
    """peft's LoraConfig."""

    r: PositiveInt = Field(8, description="Rank.")
    lora_alpha: PositiveInt = Field(16, description="Scale, as alpha / r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: Annotated[list[str], WORD_OR_LIST] = Field(
        ["q_proj", "v_proj"], min_length=1, description="Layers of the model with an adapter, or `all-linear`."
    )
    bias: Literal["none", "all", "lora_only"] = Field("none", description="Biases to train.")


class Training(Section):
    """transformers' TrainingArguments; the defaults are those of the paper's code."""

    trainer: Literal[*plugins.names("trainers")] = Field("sft", description="A trainer's name.")
    lora: Lora = Field(default_factory=Lora, description="The adapter.")
    full: Annotated[bool, Field(exclude_if=lambda given: not given)] = Field(
        False,
        description="Train all weights, in float32, in place of an adapter; a run's folder then holds a whole model in "
        "`dtype` (the plain trainer only).",
    )
    num_train_epochs: PositiveInt = Field(3, description="Passes over base data + subset.")
    batch_size: PositiveInt = Field(128, description="Rows per optimiser step, over all micro-batches.")
    per_device_train_batch_size: PositiveInt = Field(4, description="Rows per micro-batch; divides batch_size.")
    learning_rate: float = Field(3e-4, gt=0, description="Peak learning rate.")
    lr_scheduler_type: Literal[*SCHEDULES] = Field("linear", description="Schedule after the warm-up.")
    warmup_steps: NaturalInt = Field(10, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    adam_beta1: float = Field(0.9, gt=0, lt=1, description="AdamW's first beta.")
    adam_beta2: float = Field(0.999, gt=0, lt=1, description="AdamW's second beta.")
    optim: Literal["adamw_torch", "adamw_torch_fused", "adamw_bnb_8bit"] = Field(
        "adamw_torch", description="AdamW: plain, fused into one kernel, or in 8 bits (GPU)."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping.")
    max_length: PositiveInt = Field(256, description="Longest row in tokens; longer ones are cut and counted.")
    train_on_prompt: bool = Field(True, description="Include the prompt in the loss, like the paper's code.")
    train_sampling_strategy: Literal["random", "group_by_length"] = Field("random", description="Order of rows.")
    packing: bool = Field(
        False,
        description="Pack the rows of a micro-batch without padding; the optimiser steps stay the same (`packing.py`).",
    )
    dtype: Dtype = Field("float32", description="Number type of weights and arithmetic.")
    quantize: Quantize = Field(
        None,
        description="Base weights in fewer bits (bitsandbytes, GPU): `int8`, or `nf4` for QLoRA, double quantised with "
        "bfloat16 arithmetic.",
    )
    gpus: Gpus = Field(
        1, description="GPUs of one node over which the model's layers are spread; the plain trainer only."
    )
    validation_rows: NaturalInt = Field(
        0,
        description="Rows held out of base data + subset, to keep the epoch of lowest loss on them. 0 keeps the last.",
    )
    # No job's options hold it: like a log, it changes nothing that is made.
    tracking: Literal[*TRACKERS] | None = Field(
        None,
        exclude=True,
        description="Experiment tracker of each run: the Trainer's own `report_to`. Its package must be installed.",
    )

    @model_validator(mode="after")
    def _divides(self):
        if self.batch_size % self.per_device_train_batch_size:
            raise ValueError("per_device_train_batch_size must divide batch_size")
        if self.quantize == "nf4" and self.dtype != "bfloat16":
            raise ValueError(f"quantize: nf4 computes in bfloat16; set dtype: bfloat16 in place of {self.dtype}")
        if self.full and self.quantize:
            raise ValueError(f"full trains all weights, and weights in {self.quantize} cannot be; leave out one")
        return self


class GradientOptions(Section):
    """Per-row gradients after a short warm-up, for plug-ins that need them and for the gradient report."""

    warm_up_rows: PositiveInt = Field(1000, description="Base rows for the warm-up of the adapter, drawn once.")
    warm_up_epochs: PositiveInt = Field(1, description="Passes over the warm-up rows.")
    dimensions: PositiveInt = Field(8192, description="Dimensions of a projected gradient.")
    projection_seed: NaturalInt = Field(0, description="Seed of the projection.")
    batch_size: PositiveInt = Field(16, description="Rows per batch, for gradients and log-probabilities.")
    reference_rows: PositiveInt = Field(1000, description="References with a gradient, drawn once.")


class AlignedRows(Section):
    """Rows of a pool or the base data that an aligned start learns; the rule `refusal-string` labels them.

    Without a source that says which requests are harmful, all count as harmful, so only T1 and T2 occur.
    """

    t1: NaturalInt = Field(0, description="Number of T1 rows: harmful request, refusal.")
    t2: NaturalInt = Field(0, description="Number of T2 rows: harmful request, answer.")
    t3: NaturalInt = Field(0, description="Number of T3 rows: safe request, refusal.")
    t4: NaturalInt = Field(0, description="Number of T4 rows: safe request, answer.")
    any: NaturalInt = Field(0, description="Number of other rows, whatever they say.")
    longest: PositiveInt | None = Field(None, description="Take rows of at most this many characters.")

    @property
    def numbers(self) -> dict[str, int]:
        """The numbers of rows, by behaviour."""
        return self.model_dump(exclude={"longest"})


class Aligned(Section):
    """A first fine-tuning of a model, merged into it; every run starts from the result.

    Its rows are left out of all pools, base data and benchmarks.
    """

    rows: dict[Name, AlignedRows] = Field(min_length=1, description="Rows to learn, by key of `pools`, or `base`.")
    seed: NaturalInt = Field(0, description="Seed that draws the rows and trains.")
    training: dict[str, bool | int | float | str] = Field({}, description="Keys of `training` with other values here.")
    refuses: float = Field(
        0.5, ge=0, le=1, description="Least share of the harm metric's prompts to refuse; the study stops below it."
    )

    @property
    def number(self) -> int:
        """The rows that it learns."""
        return sum(sum(rows.numbers.values()) for rows in self.rows.values())


def aligned_training(training: Training, aligned: Aligned) -> Training:
    """Return the study's training with the values that an aligned start changes; it is an adapter, and merged."""
    return Training(**training.model_dump(exclude={"full"}) | aligned.training)


class MethodSection(Section):
    """A sampler with its trainer, filter or transform; its name is valid wherever a sampler's is."""

    sampler: Name = Field(
        "none", description="A sampler's name; some trainers pick from the pool themselves and need none."
    )
    among: Literal[*BEHAVIOURS] | None = Field(
        None, description="Behaviour of the rows to pick from, all by default; `sss` among T1 is `sss-b`."
    )
    filter: Name | None = Field(None, description="A filter's name; it removes base data before training.")
    trainer: Name | None = Field(None, description="A trainer's name; the default is that of `training`.")
    transform: Name | None = Field(None, description="A transform's name; it changes an adapter after training.")
    then: Name | None = Field(
        None, description="A key of `tasks`: data for a second fine-tuning of the adapter, without safety data."
    )
    of: Name | None = Field(
        None,
        description="The sampler or method whose adapter to transform or fine-tune again, on `then` or, by the trainer "
        "`patch`, on the picked rows alone.",
    )
    options: dict[str, bool | int | float | str] = Field({}, description="Options of its plug-ins, by name.")

    @model_validator(mode="after")
    def _whole(self):
        changes = (self.transform is not None) + (self.then is not None) + bool(self.of and self.trainer)
        if (self.of is not None) != changes:
            raise ValueError(
                "'of' goes with one of 'transform', 'then' and 'trainer': 'of' names the adapter, the other its change"
            )
        if self.of and (self.filter or not self.trainer and (self.sampler != "none" or self.among)):
            raise ValueError("'of' names a finished adapter; set sampler, filter and trainer in that method")
        return self
