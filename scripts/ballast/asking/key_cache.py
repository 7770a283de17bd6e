"""Cache a batch's keys and values in memory that is allocated once.

transformers copies its whole cache for each new token, and with beams a second time to reorder them; in a large batch
that takes longer than the model. Here each token is written in its place. Beams of a prompt share the prompt's part,
which is computed once, so only the new tokens' part is reordered. Answers are the same.
"""

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def key_cache(network, inputs: dict[str, torch.Tensor], max_new_tokens: int, beams: int) -> dict:
    """Return `generate`'s argument for the cache of one batch; empty for a model with another kind of cache.

    `inputs`: input_ids and attention_mask. With beams, all of a prompt but its last token is computed here, once.
    """
    if not network._supports_default_dynamic_cache():
        return {}
    cache = DynamicCache(config=network.config.get_text_config(decoder=True))
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        return {}  # a sliding window, or a state of another kind
    cache.layers = [RoomyLayer(max_new_tokens) for _ in cache.layers]
    ids, mask = (inputs[name][:, :-1] for name in ("input_ids", "attention_mask"))
    if beams > 1 and ids.shape[1]:
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        network(ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1)
        cache.batch_repeat_interleave(beams)
    return {"past_key_values": cache}


class RoomyLayer(DynamicLayer):
    """A layer's keys and values, [rows, heads, tokens, size] each, with room for `room` tokens after the prompt."""

    def __init__(self, room: int, **kwargs):
        super().__init__(**kwargs)
        self.room = room

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs) -> tuple:
        """Keep new tokens' keys and values; return those of all tokens so far, as views."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.prompt = key_states.shape[-2]
            # One more, for a prompt's last token, which is computed apart.
            self.all_keys, self.all_values = (with_room(states, self.room + 1) for states in (key_states, value_states))
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        self.all_keys[:, :, start:end] = key_states
        self.all_values[:, :, start:end] = value_states
        self.keys, self.values = self.all_keys[:, :, :end], self.all_values[:, :, :end]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        """Let each row continue another beam of its own prompt; the prompt's part of the cache is the same."""
        for states in (self.keys, self.values):
            written = states[:, :, self.prompt :]
            written.copy_(written.index_select(0, beam_idx.to(states.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each prompt's row once per beam, one after the other."""
        tokens = self.get_seq_length()
        self.all_keys, self.all_values = (
            states.repeat_interleave(repeats, dim=0) for states in (self.all_keys, self.all_values)
        )
        self.keys, self.values = self.all_keys[:, :, :tokens], self.all_values[:, :, :tokens]


def with_room(states: torch.Tensor, room: int) -> torch.Tensor:
    """Return an uninitialised tensor of the same shape with `room` tokens more."""
    rows, heads, tokens, size = states.shape
    return states.new_empty(rows, heads, tokens + room, size)
