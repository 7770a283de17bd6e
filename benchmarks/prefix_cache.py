"""Measure the share of SALAD's prompt tokens that vLLM's prefix cache saves, by the order of the prompts.

    python benchmarks/prefix_cache.py                       # simulated, block by block, on real prompts: seconds
    python benchmarks/prefix_cache.py --model DIR           # with a model's own tokenizer
    .venv-vllm/bin/python benchmarks/prefix_cache.py --vllm # and what a real engine with a tiny model counts

Prompts are the attack-enhanced ones of BALLAST_DATA (default ../shared/data), in Alpaca's template, as in
config/paper.yaml. `sorted` is the order of `backends/vllm.py`; `by turns` asks each prompt of ten adapters before the
next prompt. A cached block is a hit if all tokens up to its end and the adapter are the same; the block of a prompt's
last token is always computed. `hits` is the share of prompt tokens in hit blocks. A limited cache evicts the least
recently used block; 3,540 blocks of 16 tokens fit into 90 % of 48 GB minus 13.5 GB of weights, at 0.5 MB per token.

Llama's tokenizer is not available: ids come from byte-level BPEs of two sizes, trained on Alpaca and the safety pool,
and from pieces of four characters, to show the tokenizer's effect. Texts are never printed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast.asking.decoding import within_limit
from ballast.asking.prompts import PromptTemplate, prompt_ids
from ballast.backends import transformers, vllm
from ballast.files import BallastError, read_json
from ballast.readers import prompts

SALAD = "salad/attack_enhanced_sub500.restart.json"
TEMPLATE = "templates/alpaca.json"
TRAINED_ON = ("alpaca/alpaca_random_9229.alpagasus.json", "safety-tuned-llamas/safety_pool.vinid.json")
VOCABULARIES = (4000, 32000)
ADAPTERS = 10
BLOCK = 16
SIZES = (None, 3540, 354)
ON_CPU = 32  # vLLM's CPU kernels have blocks of at least 32 tokens, so half as many blocks
WRITTEN = 90  # tokens of a response; no other prompt can use its blocks
# As in config/paper.yaml, except the engine's batch and one token per response: only prompts count.
OPTIONS = {"dtype": "float32", "batch_size": 256, "max_prompt_tokens": 3968, "long_prompts": "cut"}


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[500], help="the first so many prompts")
    parser.add_argument("--model", help="folder of a model whose tokenizer makes the ids")
    parser.add_argument("--vllm", action="store_true", help="ask a real engine too: --model, else a tiny random Llama")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    chosen = parser.parse_args(arguments)
    data = Path(os.environ.get("BALLAST_DATA") or "../shared/data")
    try:
        texts = rendered(data)
        report = {"block": BLOCK, "response": WRITTEN, "results": []}
        with tempfile.TemporaryDirectory() as scratch:
            for name, tokenizer in tokenizers(data, chosen.model, Path(scratch)):
                prompts = within_limit([ids_of(tokenizer, text) for text in texts], OPTIONS)
                for rows in chosen.rows:
                    report["results"] += simulations(name, prompts[:rows])
            # The last tokenizer is that of the engine's model.
            if chosen.vllm:
                model = chosen.model or tiny_llama(tokenizer, Path(scratch) / "llama")
                report["engine"] = measured(model, prompts[: chosen.rows[-1]])
    except BallastError as error:
        sys.exit(str(error))
    print(table(report))
    if chosen.out:
        chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    return report


def rendered(data: Path) -> list[str]:
    """Return the prompts in the paper study's template for a base model."""
    for name in (SALAD, TEMPLATE, *TRAINED_ON):
        if not (data / name).is_file():
            raise BallastError(f"{data / name}: no such file; set BALLAST_DATA to the folder of the real data files")
    template = PromptTemplate.load(data / TEMPLATE)
    return [template.render(prompt) for prompt in prompts.read(str(data / SALAD))["prompt"]]


def tokenizers(data: Path, model: str | None, scratch: Path) -> Iterator[tuple[str, object]]:
    """Yield tokenizers by name; None stands for pieces of four characters."""
    if model:
        yield "the model's", transformers.load_tokenizer(model)
        return
    yield "4 characters", None
    rows = [row for name in TRAINED_ON for row in read_json(data / name)]
    for size in VOCABULARIES:
        yield f"BPE, {size:,} tokens", trained(rows, size, scratch / str(size))


def trained(rows: list[dict], size: int, folder: Path):
    """Train a byte-level BPE of at most `size` tokens on rows' texts; it puts one BOS before a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special.values()), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator((text for row in rows for text in row.values() if isinstance(text, str)), trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=bpe, **special).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def ids_of(tokenizer, text: str) -> list:
    """Return the token ids of a prompt, or its pieces of four characters after one for BOS."""
    if tokenizer is None:
        return ["", *(text[start : start + 4] for start in range(0, len(text), 4))]
    return prompt_ids(tokenizer, text)


def simulations(name: str, prompts: list[list]) -> list[dict]:
    """Return the hits of every order and cache size."""
    tokens = sum(map(len, prompts)) / len(prompts)
    in_order = [index for chunk in vllm._chunks(prompts, vllm.CHUNK) for index in chunk]
    orders = {"sorted": in_order, "file": range(len(prompts))}
    found = []
    for adapters in (1, ADAPTERS):
        for order, indices in orders.items():
            asked = [(adapter, prompts[index]) for index in indices for adapter in range(adapters)]
            way = f"{order}, one adapter" if adapters == 1 else f"{order}, {adapters} adapters by turns"
            hits = {str(size or "unlimited"): round(simulated(asked, size), 4) for size in SIZES}
            about = {"ids": name, "rows": len(prompts), "tokens_a_prompt": round(tokens, 1), "order": way}
            found.append(about | {"source": "simulated", "hits": hits})
    return found


def simulated(
    asked: Iterable[tuple[int, list]], size: int | None = None, block: int = BLOCK, written: int = WRITTEN
) -> float:
    """Return the share of prompt tokens in a cache of `size` blocks of `block` tokens; `asked`: (adapter, prompt).

    Each response takes room for `written` tokens.
    """
    names: dict[tuple, int] = {}  # a block, by its tokens and its adapter or previous block
    cached: OrderedDict[object, None] = OrderedDict()  # least recently used first
    total = hits = 0
    for number, (adapter, prompt) in enumerate(asked):
        chain, before = [], ("adapter", adapter)
        for end in range(block, len(prompt) + 1, block):
            before = names.setdefault((before, tuple(prompt[end - block : end])), len(names))
            chain.append(before)
        found = next((at for at, name in enumerate(chain) if name not in cached), len(chain))
        hits += block * min(found, (len(prompt) - 1) // block)
        total += len(prompt)
        # Its last blocks are evicted first.
        own = (len(prompt) % block + written + block - 1) // block
        for name in [*(("response", number, at) for at in range(own)), *reversed(chain)]:
            cached[name] = None
            cached.move_to_end(name)
        while size and len(cached) > size:
            cached.popitem(last=False)
    return hits / total


def tiny_llama(tokenizer, folder: Path) -> str:
    """Save a random two-layer Llama for the tokenizer's vocabulary; return its folder."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, **sizes, **ids)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def measured(model: str, prompts: list[list[int]], adapter: str | None = None, sizes: tuple = SIZES) -> list[dict]:
    """Return the engine's own hits, by order and cache size, with those of the simulation."""
    length = vllm._length(model, prompts, OPTIONS["max_prompt_tokens"], 1)
    block = BLOCK if torch.cuda.is_available() else ON_CPU
    orders = {"sorted": vllm._chunks(prompts, vllm.CHUNK), "file": [range(len(prompts))]}
    found = [{"order": order, "rows": len(prompts), "block": block, "hits": {}, "simulated": {}} for order in orders]
    for blocks in sizes:
        size = blocks and blocks * BLOCK // block
        more = {"block_size": block, "num_gpu_blocks_override": size}
        with vllm._engine(model, OPTIONS, length, [adapter] if adapter else [], **more) as engine:
            lora = vllm._lora_request(adapter, 1) if adapter else None
            for row, chunks in zip(found, orders.values(), strict=True):
                engine.reset_prefix_cache()
                hits = sum(found_again(engine, [prompts[index] for index in chunk], lora) for chunk in chunks)
                row["hits"][str(size or "unlimited")] = round(hits / sum(map(len, prompts)), 4)
                asked = ((0, prompts[index]) for chunk in chunks for index in chunk)
                row["simulated"][str(size or "unlimited")] = round(simulated(asked, size, block, 1), 4)
    return found


def found_again(engine, prompts: list[list[int]], lora=None) -> int:
    """Return the number of prompt tokens that the engine found in its cache."""
    asked = [{"prompt_token_ids": ids} for ids in prompts]
    outputs = engine.generate(asked, vllm._params(1), lora_request=lora, use_tqdm=False)
    return sum(output.num_cached_tokens for output in outputs)


def table(report: dict) -> str:
    """Return the report as a table of percentages."""
    rows = [
        {"ids": row["ids"], "rows": row["rows"], "tokens a prompt": row["tokens_a_prompt"], "order": row["order"]}
        | {f"hits %, {size} blocks": 100 * hits for size, hits in row["hits"].items()}
        for row in report["results"]
    ]
    said = "simulated\n" + pd.DataFrame(rows).to_string(index=False, float_format="{:.1f}".format)
    for row in report.get("engine", []):
        for size, hits in row["hits"].items():
            about = f"{row['rows']} prompts, {row['order']} order, {size} blocks of {row['block']}"
            shares = f"{100 * hits:.1f} % (simulated: {100 * row['simulated'][size]:.1f} %)"
            said += f"\ncounted by vLLM, {about}: {shares}"
    return said


if __name__ == "__main__":
    main()
