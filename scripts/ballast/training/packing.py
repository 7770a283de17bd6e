"""Train without padding: pack the rows of a micro-batch into one row, and keep attention within each.

Steps equal those of the padded path up to float order: transformers' Trainer normalises by the learnt tokens of a whole
optimiser step. So packing does not change a step, and a larger `per_device_train_batch_size` with fewer accumulations
(same product) is only faster. Two uses: `prepare` and `collator` with any Trainer, and `PackedTrainer`, which also
never holds the logits of a whole micro-batch. Causal models with plain softmax attention only (docs/models.md names
the tested ones); a row must not be longer than a sliding window.
"""

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import DataCollatorWithFlattening, Trainer
from transformers.modeling_utils import AttentionInterface

from ballast.files import BallastError

try:  # CUDA only, and missing in older torch
    from torch.nn.attention.varlen import varlen_attn
except ImportError:
    varlen_attn = None

NAME = "ballast_packed"
IGNORED = -100
HALF = (torch.bfloat16, torch.float16)
# Tokens whose logits are in memory at once: 131 MB in float32 for a vocabulary of 32,000.
BLOCK = 1024
# Models that change the logits between the head and the loss keep their own loss.
AFTER_HEAD = ("final_logit_softcapping", "logits_scaling", "logit_scale")


def prepare(network) -> None:
    """Set a transformers model, with or without a peft adapter, to attend as `collator` packs; for training only."""
    plain(network).set_attn_implementation(NAME)


def collator() -> DataCollatorWithFlattening:
    """Return a collator that packs examples (`input_ids`, `labels`) into one row.

    Positions restart at each example, and its first label is ignored. The boundaries reach `attention` as
    `cu_seq_lens_q`, through the model's forward.
    """
    return DataCollatorWithFlattening(return_flash_attn_kwargs=True)


def attention(
    module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """Compute causal attention within each segment; [1, heads, tokens, size] in, [1, tokens, heads, size] out."""
    if softcap is not None or (sliding_window is not None and max_length_q > sliding_window):
        raise BallastError(
            f"packed training has no attention with softcap {softcap}, nor rows of {max_length_q} tokens in a sliding "
            f"window of {sliding_window}; lower training.max_length or train without packing"
        )
    native = varlen_attn is not None and query.is_cuda and query.dtype in HALF and not dropout
    if native:
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scaling), None
    lengths = cu_seq_lens_q.diff().tolist()
    parts = zip(*(part.split(lengths, dim=2) for part in (query, key, value)), strict=True)
    options = {"dropout_p": dropout, "is_causal": True, "scale": scaling, "enable_gqa": _shares_heads(query, key)}
    return torch.cat([scaled_dot_product_attention(*part, **options).transpose(1, 2) for part in parts], dim=1), None


def _varlen(query, key, value, bounds: torch.Tensor, longest: int, scale: float | None) -> torch.Tensor:
    """Call torch's variable-length flash attention, one kernel for all segments."""
    options = {"scale": scale, "enable_gqa": _shares_heads(query, key), "window_size": (-1, 0)}  # -1, 0: causal
    flat = (part.squeeze(0).transpose(0, 1) for part in (query, key, value))
    return varlen_attn(*flat, bounds, bounds, longest, longest, **options).unsqueeze(0)


def _shares_heads(query: torch.Tensor, key: torch.Tensor) -> bool:
    return query.shape[1] != key.shape[1]


# transformers builds no mask for a name without a mask function; the boundaries suffice.
AttentionInterface.register(NAME, attention)


class PackedTrainer(Trainer):
    """transformers' Trainer, with `linear_cross_entropy` if the model's head is a plain frozen matrix."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        network = plain(self.accelerator.unwrap_model(model))
        if return_outputs or not has_plain_head(network):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.pop("labels")
        # accelerate's autocast wraps the forward of the whole model, which is not called here.
        with self.accelerator.autocast():
            hidden = network.get_decoder()(**inputs).last_hidden_state
            total = linear_cross_entropy(hidden, network.get_output_embeddings().weight, labels)
        # With layers on several GPUs the head's is another than the Trainer's.
        return total.to(labels.device) / num_items_in_batch

    def floating_point_ops(self, inputs) -> int:
        """Return 0: the count walks all parameters in every step, and nothing reads it."""
        return 0


def linear_cross_entropy(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the summed cross-entropy of the next token, in float32; ignored tokens never reach the head.

    In bfloat16, torch.nn.functional.linear_cross_entropy (torch 2.13) rounds the loss to three digits.
    """
    return summed(token_losses(hidden, head, labels))


def summed(losses: torch.Tensor) -> torch.Tensor:
    """Return the sum of the tokens' losses, one block at a time."""
    return sum(part.sum() for part in losses.split(BLOCK))


def token_losses(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss of each learnt token, [tokens], in the order of the rows, on the head's device."""
    hidden, labels = hidden.to(head.device), labels.to(head.device)
    targets = labels[:, 1:].flatten()
    learnt = (targets != IGNORED).nonzero().squeeze(1)
    return _HeadLoss.apply(hidden[:, :-1].flatten(0, 1).index_select(0, learnt), head, targets[learnt])


class _HeadLoss(torch.autograd.Function):
    """Compute head, loss and gradient one block of tokens at a time; this works because the head is frozen."""

    @staticmethod
    def forward(ctx, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        exact = torch.promote_types(hidden.dtype, torch.float32)
        losses = hidden.new_empty(len(targets), dtype=exact)
        gradient = torch.empty_like(hidden)
        blocks = (value.split(BLOCK) for value in (hidden, targets, losses, gradient))
        for rows, wanted, lost, part in zip(*blocks, strict=True):
            logits = (rows @ head.T).to(exact)
            wanted = wanted.unsqueeze(1)
            # In place: logsumexp would need a second copy and a second exponential.
            shifted = logits.sub_(logits.amax(dim=1, keepdim=True))
            right = shifted.gather(1, wanted)
            powers = shifted.exp_()
            norms = powers.sum(dim=1, keepdim=True)
            lost.copy_((norms.log() - right).squeeze(1))
            probabilities = powers.div_(norms)
            probabilities.scatter_add_(1, wanted, torch.full_like(norms, -1.0))
            part.copy_(probabilities.to(head.dtype) @ head)
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    def backward(ctx, scale: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        # Keep the scale's precision (1 / tokens of a step): bfloat16 would round it by up to 0.4 %.
        return (gradient.to(scale.dtype) * scale.unsqueeze(1)).to(gradient.dtype), None, None


def plain(network):
    """Return the transformers model inside a peft model, or the model itself."""
    return network.get_base_model() if hasattr(network, "get_base_model") else network


def has_plain_head(network) -> bool:
    head, config = network.get_output_embeddings(), network.config.get_text_config()
    unchanged = all(getattr(config, name, None) in (None, 1, 1.0) for name in AFTER_HEAD)
    return type(head) is torch.nn.Linear and head.bias is None and not head.weight.requires_grad and unchanged
