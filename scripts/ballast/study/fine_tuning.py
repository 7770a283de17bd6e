"""The sections of a config that say how a model is fine-tuned: adapter, steps, gradients of rows, methods."""

from typing import Literal

from pydantic import Field, model_validator

from ballast import plugins
from ballast.names import BEHAVIOURS
from ballast.study.sections import Dtype, Name, NaturalInt, PositiveInt, Section


class Lora(Section):
    """peft's LoraConfig."""

    r: PositiveInt = Field(8, description="Rank.")
    lora_alpha: PositiveInt = Field(16, description="Scale, as alpha / r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: list[str] = Field(["q_proj", "v_proj"], description="Linear layers that get an adapter.")
    bias: Literal["none", "all", "lora_only"] = Field("none", description="Biases to train.")


class Training(Section):
    """transformers' TrainingArguments; the defaults are the paper's code (protocol of the publication)."""

    trainer: Literal[*plugins.names("trainers")] = Field("sft", description="A trainer's name.")
    lora: Lora = Field(default_factory=Lora, description="The adapter.")
    num_train_epochs: PositiveInt = Field(3, description="Passes over base data + subset.")
    batch_size: PositiveInt = Field(128, description="Rows per optimiser step, over all micro-batches.")
    per_device_train_batch_size: PositiveInt = Field(4, description="Rows per micro-batch; divides batch_size.")
    learning_rate: float = Field(3e-4, gt=0, description="Peak learning rate.")
    lr_scheduler_type: str = Field("linear", description="Schedule after the warm-up.")
    warmup_steps: NaturalInt = Field(10, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    adam_beta1: float = Field(0.9, gt=0, lt=1, description="AdamW's first beta.")
    adam_beta2: float = Field(0.999, gt=0, lt=1, description="AdamW's second beta.")
    optim: Literal["adamw_torch", "adamw_torch_fused", "adamw_bnb_8bit"] = Field(
        "adamw_torch", description="AdamW, plain, in one kernel, or in 8 bits (GPU)."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping.")
    max_length: PositiveInt = Field(256, description="Longest row in tokens; longer ones are cut and counted.")
    train_on_prompt: bool = Field(True, description="Loss on the prompt too, as the paper's code does.")
    train_sampling_strategy: Literal["random", "group_by_length"] = Field("random", description="Order of rows.")
    packing: bool = Field(
        False, description="Rows of a micro-batch end to end without padding, in the same steps (`packing.py`)."
    )
    dtype: Dtype = Field("float32", description="Weights and arithmetic.")
    load_in_8bit: bool = Field(False, description="Base weights in 8 bits (bitsandbytes, GPU).")
    validation_rows: NaturalInt = Field(
        0, description="Rows cut from base data + subset; the epoch with their lowest loss is kept. 0 keeps the last."
    )

    @model_validator(mode="after")
    def _divides(self):
        if self.batch_size % self.per_device_train_batch_size:
            raise ValueError("per_device_train_batch_size must divide batch_size")
        return self


class GradientOptions(Section):
    """Gradients of single rows at a warmed-up adapter, for the plug-ins that read them and the gradient report."""

    warm_up_rows: PositiveInt = Field(1000, description="Base rows that the adapter is warmed up on, drawn once.")
    warm_up_epochs: PositiveInt = Field(1, description="Passes over them.")
    dimensions: PositiveInt = Field(8192, description="Numbers that a gradient is projected to.")
    projection_seed: NaturalInt = Field(0, description="Seed of the projection.")
    batch_size: PositiveInt = Field(16, description="Rows at a time, for gradients and log-probabilities.")
    reference_rows: PositiveInt = Field(1000, description="References whose gradients are taken, drawn once.")


class MethodSection(Section):
    """A sampler with what goes with it; its name stands wherever a sampler's can."""

    sampler: Name = Field("none", description="A sampler's name; without one, a trainer that can picks from the pool.")
    among: Literal[*BEHAVIOURS] | None = Field(
        None,
        description="Behaviour of the rows to pick from, all by default; `sss` among T1 is `sss-b`.",
    )
    filter: Name | None = Field(None, description="What takes base data out before training, a filter's name.")
    trainer: Name | None = Field(None, description="A trainer's name; the default is that of `training`.")
    transform: Name | None = Field(None, description="What changes an adapter after training, a transform's name.")
    then: Name | None = Field(
        None, description="What an adapter is trained on further, alone and without safety data: a key of `tasks`."
    )
    of: Name | None = Field(None, description="The sampler or method whose adapter is transformed or trained further.")
    options: dict[str, bool | int | float | str] = Field({}, description="Options of its plug-ins, by name.")

    @model_validator(mode="after")
    def _whole(self):
        if (self.of is not None) != ((self.transform is not None) + (self.then is not None)):
            raise ValueError("'of' goes with one of 'transform' and 'then': what is done, and to whose adapter")
        if self.of and (self.sampler != "none" or self.among or self.filter or self.trainer):
            raise ValueError("the adapter of 'of' is taken as it is; say sampler, filter and trainer there")
        return self
