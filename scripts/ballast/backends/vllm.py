"""Run models with vLLM: paged attention and continuous batches, for models and adapters that fit on a GPU.

Each call of the engine holds one adapter or the base alone. On CPU kernels, a batch that mixes base and LoRA requests
silently answers base requests with an adapter's weights.
An adapter's name is a digest of its content, since the prefix cache identifies adapters by name.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import torch
from transformers import __version__ as transformers_version

from ballast.asking import keep_model
from ballast.asking.decoding import (
    BEAMS,
    adapter_name,
    askable,
    before_end,
    continued,
    ends,
    no_keeping,
    responses,
    within_limit,
)
from ballast.asking.loading import load_tokenizer, text_config
from ballast.asking.memory import enough, lower
from ballast.asking.store import Store
from ballast.asking.weights import adapter_folder, model_folder
from ballast.backends.transformers import ITS_BATCH
from ballast.files import BallastError, read_json, write_json

PACKAGE = "vllm"  # half of the environments lack it

# vLLM reads these on import: one process, so that the order is fixed; no usage reports, no hub.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, without a GPU
    "HF_HUB_OFFLINE": "1",
}
# No free whitespace, which a weak model may write until its limit; the same grammar engine for every schema.
GRAMMAR = {"backend": "xgrammar", "disable_any_whitespace": True}
# Prompts between two saves. Some hundreds, since the engine drains at the end of each chunk.
CHUNK = 512
# Keys of an adapter's config for kinds of LoRA that vLLM 0.32 refuses; it would leave out a trained `bias`.
REFUSED = ("use_dora", "modules_to_save", "lora_bias", "alora_invocation_tokens", "layer_replication", "use_qalora")
# Other ways to start an adapter change the base model too.
STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vLLM's values of max_lora_rank


def generate(
    model: str, adapter: str | None, prompts: list[list[int]], options: dict, store: Store | None = None
) -> pd.DataFrame:
    """Return the responses (`decoding.responses`) to prompts, in their order.

    `adapter`: a LoRA folder, or None for the model alone; `options`: decoding, max_new_tokens, max_prompt_tokens,
    long_prompts, batch_size, dtype, tensor_parallel (if not 1). `store` keeps each chunk of prompts, so that a killed
    job resumes. A later job has the same chunks, and the same answers if the engine repeats its own.
    """
    tokenizer = load_tokenizer(model)
    asked = within_limit(prompts, options)
    if not asked:
        return responses(tokenizer, [], [], [])
    length = _length(model, asked, options["max_prompt_tokens"], options["max_new_tokens"])
    say, size = _greedy, CHUNK
    if BEAMS[options["decoding"]] > 1:
        say, size = partial(_beam_search, ends(tokenizer)), options["batch_size"]
    batches = _chunks(asked, size)
    named = [adapter_folder(adapter)] if adapter is not None else []
    advice = lower("generation.batch_size", options["batch_size"])
    with enough(advice), _engine(model, options, length, named) as engine:
        lora = _lora_request(adapter, 1) if adapter is not None else None
        tokens = continued(asked, batches, adapter, store, partial(say, engine, options, lora))
    return responses(tokenizer, prompts, asked, tokens)


def answer(
    model: str,
    texts: list[str],
    options: dict,
    max_new_tokens: int,
    schema: dict | None = None,
    done: Callable = no_keeping,
) -> list[str | None]:
    """Return greedy answers to texts, None for one over `max_length` tokens; each follows `schema` (JSON), if given.

    `options`: batch_size, max_length, dtype, chat. An answer cut at `max_new_tokens` may be half of a JSON value. The
    engine promises that answers do not depend on the other texts only under VLLM_BATCH_INVARIANT.
    """
    tokenizer = load_tokenizer(model)

    def params():
        from vllm.sampling_params import StructuredOutputsParams

        rules = StructuredOutputsParams(json=schema) if schema is not None else None
        return _params(max_new_tokens, structured_outputs=rules)

    def read(output) -> str:
        return tokenizer.decode(before_end(tokenizer, list(output.token_ids)), skip_special_tokens=True)

    return _ask(model, askable(tokenizer, texts, options), len(texts), options, max_new_tokens, params, read, done)


def first_token(
    model: str, texts: list[str], options: dict, ids: list[int], done: Callable = no_keeping
) -> list[tuple[list[float], int] | None]:
    """Return, at the first position of each text's answer, log-probabilities of `ids` and the likeliest id of all.

    None for a text that is too long; `options` and the dependence on other texts as for `answer`.
    """
    wanted = sorted(set(ids))

    def read(output) -> tuple[list[float], int]:
        return [output.logprobs[0][token].logprob for token in ids], output.token_ids[0]

    def params():
        return _params(1, logprob_token_ids=wanted, logprobs=len(wanted))

    return _ask(model, askable(load_tokenizer(model), texts, options), len(texts), options, 1, params, read, done)


def _ask(
    model: str, asked: dict, count: int, options: dict, max_new_tokens: int, params: Callable, read: Callable, done
) -> list:
    """Return `read(completion)` for each of `count` texts, None for one that is not in `asked` (ids by index).

    One session answers all, and `done(indices, values)` is called after each chunk. No engine starts if `asked` is
    empty.
    """
    answers = [None] * count
    if not asked:
        return answers
    indices, prompts = list(asked), list(asked.values())
    length = _length(model, prompts, options["max_length"], max_new_tokens)
    started = keep_model.model(model, [length, _settings(options)], lambda: _engine(model, options, length))
    with enough(lower(ITS_BATCH, options["batch_size"])), started as engine:
        # An earlier job's prompts must not affect an answer.
        engine.reset_prefix_cache()
        for chunk in _chunks(prompts, CHUNK):
            outputs = _run(engine, [prompts[number] for number in chunk], params())
            at, values = [indices[number] for number in chunk], [read(output) for output in outputs]
            for index, value in zip(at, values, strict=True):
                answers[index] = value
            done(at, values)
    return answers


def record(options: dict) -> dict:
    """Return the versions and settings that affect answers."""
    vllm = _vllm()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    versions = {"vllm": vllm.__version__, "torch": torch.__version__, "transformers": transformers_version}
    # Both decide whether an answer depends on the other texts; `_vllm` has set the first.
    scheduling = {
        name: os.environ.get(name, "0") for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_BATCH_INVARIANT")
    }
    return {"backend": "vllm", "device": device, **versions, **scheduling, **_settings(options)}


def _settings(options: dict) -> dict:
    """Return the engine arguments that affect answers."""
    return {
        "dtype": options["dtype"],
        "max_num_seqs": options["batch_size"],
        "enforce_eager": not torch.cuda.is_available(),
        "enable_prefix_caching": True,
        "seed": 0,
        **({"tensor_parallel_size": options["tensor_parallel"]} if "tensor_parallel" in options else {}),
    }


@contextmanager
def _engine(model: str, options: dict, length: int, adapters: list[str] = (), **more) -> Iterator:
    """Start an engine for `length` tokens, prompt and answer together; free its memory afterwards.

    `more` are further engine arguments, for measurements.
    """
    vllm = _vllm()
    from vllm.distributed import cleanup_dist_env_and_memory

    if not torch.cuda.is_available():
        _check_heads(model)
    lora = {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(adapters)} if adapters else {}
    try:
        with TemporaryDirectory() as scratch:
            # The model's own generation config may ask for sampling too; only what ends an answer is taken from it.
            over = ends(load_tokenizer(model))
            write_json(Path(scratch) / "generation_config.json", {"eos_token_id": over})
            engine = vllm.LLM(
                model_folder(model),
                trust_remote_code=False,
                max_model_len=length,
                generation_config=scratch,
                logprobs_mode="raw_logprobs",
                structured_outputs_config=GRAMMAR,
                use_tqdm_on_load=False,
                **lora,
                **_settings(options),
                **more,
            )
    except ValueError as error:
        raise BallastError(f"{model}: vLLM cannot run it ({' '.join(str(error).split())})") from error
    try:
        yield engine
    finally:
        engine.llm_engine.engine_core.shutdown()
        del engine
        cleanup_dist_env_and_memory()


def _vllm():
    """Import the package only when it is needed: half of the environments lack it."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import vllm
        from vllm import __version__  # noqa: F401 - a mere folder of that name, such as tests/vllm, has no version
    except ImportError as error:
        if error.name != "vllm":
            raise
        raise BallastError(
            "backend vllm: vLLM is not in this environment; run in .venv-vllm (`make test-vllm` makes it), "
            "or on a GPU cluster in that of envs/gpu.lock"
        ) from error
    return vllm


def _length(model: str, prompts: list[list[int]], longest: int, max_new_tokens: int) -> int:
    """Return the tokens of the longest allowed prompt and its answer, within the model's limit."""
    positions = getattr(text_config(model), "max_position_embeddings", None) or longest + max_new_tokens
    asked = max(map(len, prompts))
    if asked + max_new_tokens > positions:
        raise BallastError(
            f"{model}: a prompt of {asked} tokens and an answer of {max_new_tokens} do not fit the model's "
            f"{positions} positions; lower the config's limit on prompts to {positions - max_new_tokens}"
        )
    return min(longest + max_new_tokens, positions)


def _check_heads(model: str) -> None:
    """Raise BallastError for a model that the CPU kernels would refuse only in the middle of an answer."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config, known = text_config(model), CPUAttentionBackend.get_supported_head_sizes()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if size not in known:
        raise BallastError(
            f"{model}: its attention heads have size {size}, and vLLM on CPUs knows {', '.join(map(str, known))}; "
            "set backend: transformers"
        )


def _rank(adapters: list[str]) -> int:
    """Return the smallest rank that vLLM offers for these adapters. Raises BallastError for a kind that it refuses."""
    configs = {adapter: read_json(Path(adapter) / "adapter_config.json") for adapter in adapters}
    for adapter, config in configs.items():
        start = config.get("init_lora_weights")
        unlike = [key for key in REFUSED if config.get(key)] + ["bias"] * (config.get("bias", "none") != "none")
        unlike += ["init_lora_weights"] * (isinstance(start, str) and start.lower() not in STARTS)
        if unlike:
            raise BallastError(f"{adapter}: vLLM takes no adapter with {', '.join(unlike)}; use backend: transformers")
    ranks = {
        adapter: max(config["r"], *(config.get("rank_pattern") or {}).values(), 0)
        for adapter, config in configs.items()
    }
    adapter, rank = max(ranks.items(), key=lambda pair: pair[1])
    if rank > RANKS[-1]:
        raise BallastError(f"{adapter}: rank {rank} is more than vLLM takes ({RANKS[-1]}); use backend: transformers")
    return next(known for known in RANKS if known >= rank)


def _lora_request(adapter: str, number: int):
    """Return vLLM's request for the adapter; its name is a digest of its weights and config."""
    from vllm.lora.request import LoRARequest

    return LoRARequest(adapter_name(adapter), number, str(adapter))


def _params(max_new_tokens: int, **extra):
    from vllm import SamplingParams

    return SamplingParams(temperature=0, max_tokens=max_new_tokens, detokenize=False, **extra)


def _run(engine, prompts: list[list[int]], params, lora=None) -> list:
    """Return the engine's completions in the order of the prompts."""
    asked = [{"prompt_token_ids": ids} for ids in prompts]
    return [output.outputs[0] for output in engine.generate(asked, params, lora_request=lora, use_tqdm=False)]


def _greedy(engine, options: dict, lora, prompts: list[list[int]]) -> list[list[int]]:
    completions = _run(engine, prompts, _params(options["max_new_tokens"]), lora)
    return [list(completion.token_ids) for completion in completions]


def _beam_search(over: list[int], engine, options: dict, lora, prompts: list[list[int]]) -> list[list[int]]:
    """Return the best answer of each prompt's `_Beams`, which ends at a token of `over`; all open ones grow at once."""
    limit, width = options["max_new_tokens"], BEAMS[options["decoding"]]
    searches = [_Beams(ids, width, limit, over) for ids in prompts]
    params, waiting = _params(1, logprobs=2 * width), searches
    while waiting:
        asked = [{"prompt_token_ids": search.prompt + ids} for search in waiting for _, ids in search.running]
        outputs = iter(engine.generate(asked, params, lora_request=lora, use_tqdm=False))
        for search in waiting:
            search.extend([next(outputs).outputs[0].logprobs[0] for _ in search.running])
        waiting = [search for search in waiting if search.running]
    return [search.finished[0][1] for search in searches]


class _Beams:
    """Beam search of one prompt by the rules of transformers' `generate`, which the authors' code calls.

    The engine's own beam search has other rules: it divides an answer's log-probability by the length of prompt and
    answer together, which favours short answers, and accepts an end from outside the `width` best continuations.
    """

    def __init__(self, prompt: list[int], width: int, limit: int, eos: int | list[int]):
        self.prompt, self.width, self.limit = prompt, width, limit
        self.ends = {eos} if isinstance(eos, int) else set(eos)
        self.running: list[tuple[float, list[int]]] = [(0.0, [])]  # log-probability and ids, best first
        self.finished: list[tuple[float, list[int]]] = []  # log-probability per token and ids, best first

    def extend(self, following: list[dict]) -> None:
        """Add one token; `following` has the most likely next tokens of each running answer."""
        found = [
            (total + entry.logprob, [*ids, token])
            for (total, ids), entries in zip(self.running, following, strict=True)
            for token, entry in entries.items()
        ]
        found = sorted(found, key=lambda pair: -pair[0])[: 2 * self.width]
        length = len(found[0][1])
        over = [length == self.limit or ids[-1] in self.ends for _, ids in found]
        # Only an end among the best counts; the rest ensure that `width` answers continue.
        ended = [(total / length, ids) for (total, ids), ends in zip(found[: self.width], over, strict=False) if ends]
        self.finished = sorted(self.finished + ended, key=lambda pair: -pair[0])[: self.width]
        self.running = [pair for pair, ends in zip(found, over, strict=True) if not ends][: self.width]
        full = len(self.finished) == self.width
        if full and self.running and self.running[0][0] / length <= self.finished[-1][0]:
            self.running = []


def _chunks(prompts: list[list[int]], size: int) -> list[list[int]]:
    """Return indices in chunks, sorted by prefix, so that neighbours share the engine's cache."""
    order = sorted(range(len(prompts)), key=prompts.__getitem__)
    return [order[start : start + size] for start in range(0, len(order), size)]
