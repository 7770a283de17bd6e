"""The modes of benchmarks/training.py that train nothing: generation, a reward model, and a judge's prefill."""

import torch
from device import DEVICE, DTYPE, NO_TEXT, Size, draw_rows, flops, free, llama, now, rates
from transformers import AutoModelForSequenceClassification, DebertaV2Config

from ballast.backends import transformers as backend

REPEATS = 3


def generate(work: Size, lengths: list[int]):
    """One prompt at a time, as the authors do with beams, then as the backend does, in one batch."""
    network = llama(work).eval()
    prompts = draw_rows(work, lengths, work.together)
    backend._continue(network, NO_TEXT, 2, 1, prompts[:1])
    for name, count, batch in (("one at a time", work.alone, 1), ("batched", work.together, work.together)):
        for beams in (4, 1):
            begin = now(reset=True)
            for start in range(0, count, batch):
                backend._continue(network, NO_TEXT, work.new_tokens, beams, prompts[start : min(start + batch, count)])
            way = f"{name}, {'greedy' if beams == 1 else f'{beams} beams'}"
            yield {"way": way, "new_tokens": work.new_tokens} | rates(begin, now(), count, "prompts")
    del network
    free()


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
