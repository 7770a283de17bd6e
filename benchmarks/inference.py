"""Run the modes of benchmarks/training.py without training: generation, a reward model, a judge's prefill."""

import tempfile
from functools import partial
from pathlib import Path

import torch
from device import DEVICE, DTYPE, Size, draw_rows, flops, free, llama, now, rates
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForSequenceClassification, DebertaV2Config, GenerationConfig, PreTrainedTokenizerFast

from ballast.asking.decoding import BEAMS
from ballast.backends import transformers as backend

REPEATS = 3
NAME = str(DTYPE).removeprefix("torch.")


def generate(work: Size, lengths: list[int]):
    """Time the authors' loop, one prompt at a time through an unmerged adapter, then the backend on the same model.

    The backend's time includes loading and merging. `times_authors`: ratio to the loop with the authors' beams, in wall
    time on a GPU, in CPU time on a CPU.
    """
    speed = "prompts_per_s" if DEVICE.type == "cuda" else "prompts_per_cpu_s"
    prompts = draw_rows(work, lengths, work.batches * work.together)
    # Prompts of all lengths.
    few = sorted(prompts, key=len)[work.batches * work.together // work.alone // 2 :: len(prompts) // work.alone]
    authors = None
    with tempfile.TemporaryDirectory() as scratch:
        model, adapter = saved(work, Path(scratch))
        tokenizer, network = backend.load_tokenizer(model), backend.load_model(model, NAME)
        theirs = partial(alone, PeftModel.from_pretrained(network, adapter), tokenizer, work)
        ours = partial(with_backend, model, adapter, work)
        for name, ask, asked in (("authors' loop", theirs, few), ("backend", ours, prompts)):
            ask(asked[:1], 1)
            for beams in (4, 1):
                begin = now(reset=True)
                ask(asked, beams)
                found = rates(begin, now(), len(asked), "prompts")
                authors = authors or found[speed]
                way = f"{name}, {'greedy' if beams == 1 else f'{beams} beams'}"
                times = {"times_authors": round(found[speed] / authors, 1)}
                yield {"way": way, "new_tokens": work.new_tokens} | times | found
    free()


def alone(network, tokenizer, work: Size, prompts: list[list[int]], beams: int) -> None:
    """Answer one prompt at a time with plain transformers, in the given order."""
    settings = GenerationConfig(num_beams=beams, max_new_tokens=work.new_tokens, do_sample=False, pad_token_id=0)
    settings.eos_token_id = tokenizer.eos_token_id
    for ids in prompts:
        with torch.inference_mode():
            network.generate(torch.tensor([ids], device=DEVICE), generation_config=settings)


def with_backend(model: str, adapter: str, work: Size, prompts: list[list[int]], beams: int) -> None:
    """Do the work of the rule `generate`: load, merge the adapter, answer prompts of similar length together."""
    decoding = next(name for name, width in BEAMS.items() if width == beams)
    limits = {"max_new_tokens": work.new_tokens, "max_prompt_tokens": 4096, "long_prompts": "fail"}
    options = {"decoding": decoding, "batch_size": work.together, "dtype": NAME}
    backend.generate(model, adapter, prompts, options | limits)


def saved(work: Size, folder: Path) -> tuple[str, str]:
    """Save a random Llama with numbers as tokens, and a random adapter of the paper's kind; return both folders."""
    vocabulary = {f"t{number}": number for number in range(3, work.vocabulary)} | {"<pad>": 0, "<s>": 1, "</s>": 2}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<pad>"))
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder / "model")
    network = llama(work)
    network.save_pretrained(folder / "model")
    settings = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False}
    get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **settings)).save_pretrained(folder / "adapter")
    return str(folder / "model"), str(folder / "adapter")


def reward(work: Size, lengths: list[int]):
    count, width = work.pairs
    vocabulary = work.reward_vocabulary
    config = DebertaV2Config(
        vocab_size=vocabulary,
        max_position_embeddings=512,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        num_labels=1,
        **work.reward,
    )
    for dtype in dict.fromkeys((torch.float32, DTYPE)):
        with DEVICE:
            network = AutoModelForSequenceClassification.from_config(config, dtype=dtype).eval()
        ids = torch.randint(3, vocabulary, (count, width), device=DEVICE)
        yield {"way": f"{width} tokens, {str(dtype).removeprefix('torch.')}"} | forward_rates(network, ids, "pairs")
        del network
        free()


def judge(work: Size, lengths: list[int]):
    count, width = work.judge
    network = llama(work).eval()
    ids = torch.randint(3, work.vocabulary, (count, width), device=DEVICE)
    yield {"way": f"prefill, {count} rows of {width}"} | forward_rates(
        network, ids, "tokens", flops(work, 2), logits_to_keep=1
    )
    del network
    free()


@torch.inference_mode()
def forward_rates(network, ids: torch.Tensor, unit: str, flops_each: float | None = None, **options) -> dict:
    network(ids, **options)
    begin = now(reset=True)
    for _ in range(REPEATS):
        network(ids, **options)
    done = REPEATS * (ids.numel() if unit == "tokens" else len(ids))
    return rates(begin, now(), done, unit, flops_each)
