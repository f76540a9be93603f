"""A language model and the eyes for it, both of random numbers: they run in a real server and make no sense at all."""

import random
from array import array
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Final

from tests.peers.gguf_file import Tensor, write_gguf

CONTEXT_TOKENS: Final = 4096
END_TOKEN: Final = 2
_WIDTH, _LAYERS, _HEADS, _INNER = 64, 2, 4, 128
_EYE_WIDTH, _EYE_LAYERS, _EYE_HEADS, _EYE_INNER, _PATCH, _IMAGE = 32, 2, 2, 64, 14, 28
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6  # kinds of tokens (docs/gguf.md)
_TEMPLATE: Final = "{% for m in messages %}<{{m['role']}}>{{ m['content'] }}\n{% endfor %}<assistant>"


def write_model(path: Path) -> None:
    """Write a model of 0.5 MB that knows all bytes and some letters."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * 95]
    numbers = random.Random(0)
    write_gguf(
        path,
        {
            "general.architecture": "llama",
            "general.name": "tiny-random",
            "general.file_type": 0,
            "llama.context_length": CONTEXT_TOKENS,
            "llama.embedding_length": _WIDTH,
            "llama.block_count": _LAYERS,
            "llama.feed_forward_length": _INNER,
            "llama.attention.head_count": _HEADS,
            "llama.attention.head_count_kv": _HEADS,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "llama.rope.dimension_count": _WIDTH // _HEADS,
            "llama.vocab_size": len(tokens),
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": [-float(position) for position in range(len(tokens))],
            "tokenizer.ggml.token_type": kinds,
            "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": END_TOKEN,
            "tokenizer.ggml.add_bos_token": True,
            "tokenizer.chat_template": _TEMPLATE,
        },
        dict(_language(numbers, len(tokens))),
    )


def write_eyes(path: Path) -> None:
    """Write what turns an image into what the model reads (LLaVA's way)."""
    write_gguf(
        path,
        {
            "general.architecture": "clip",
            "general.type": "mmproj",
            "general.name": "tiny-eyes",
            "general.file_type": 0,
            "clip.has_vision_encoder": True,
            "clip.projector_type": "mlp",
            "clip.use_gelu": True,
            "clip.vision.image_size": _IMAGE,
            "clip.vision.patch_size": _PATCH,
            "clip.vision.embedding_length": _EYE_WIDTH,
            "clip.vision.feed_forward_length": _EYE_INNER,
            "clip.vision.projection_dim": _WIDTH,
            "clip.vision.block_count": _EYE_LAYERS,
            "clip.vision.attention.head_count": _EYE_HEADS,
            "clip.vision.attention.layer_norm_epsilon": 1e-5,
            "clip.vision.image_mean": [0.48, 0.46, 0.41],
            "clip.vision.image_std": [0.27, 0.26, 0.28],
        },
        dict(_eyes(random.Random(1))),
    )


def _language(numbers: random.Random, vocabulary: int) -> Iterator[tuple[str, Tensor]]:
    yield "token_embd.weight", _random(numbers, vocabulary, _WIDTH)
    yield "output_norm.weight", _even(1, _WIDTH)
    yield "output.weight", _random(numbers, vocabulary, _WIDTH)
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}.{name}.weight", _random(numbers, _WIDTH, _WIDTH)
        for name in ("ffn_gate", "ffn_up"):
            yield f"{block}.{name}.weight", _random(numbers, _INNER, _WIDTH)
        yield f"{block}.ffn_down.weight", _random(numbers, _WIDTH, _INNER)
        for name in ("attn_norm", "ffn_norm"):
            yield f"{block}.{name}.weight", _even(1, _WIDTH)


def _eyes(numbers: random.Random) -> Iterator[tuple[str, Tensor]]:
    yield "v.class_embd", _random(numbers, _EYE_WIDTH)
    yield "v.patch_embd.weight", _random(numbers, _EYE_WIDTH, 3, _PATCH, _PATCH)
    yield "v.position_embd.weight", _random(numbers, (_IMAGE // _PATCH) ** 2 + 1, _EYE_WIDTH)
    yield from _norm("v.pre_ln", _EYE_WIDTH)
    yield from _norm("v.post_ln", _EYE_WIDTH)
    for layer in range(_EYE_LAYERS):
        block = f"v.blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            yield from _linear(numbers, f"{block}.{name}", _EYE_WIDTH, _EYE_WIDTH)
        for name in ("ln1", "ln2"):
            yield from _norm(f"{block}.{name}", _EYE_WIDTH)
        yield from _linear(numbers, f"{block}.ffn_up", _EYE_INNER, _EYE_WIDTH)
        yield from _linear(numbers, f"{block}.ffn_down", _EYE_WIDTH, _EYE_INNER)
    yield from _linear(numbers, "mm.0", _WIDTH, _EYE_WIDTH)
    yield from _linear(numbers, "mm.2", _WIDTH, _WIDTH)


def _linear(numbers: random.Random, name: str, rows: int, columns: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", _random(numbers, rows, columns)
    yield f"{name}.bias", _even(0, rows)


def _norm(name: str, size: int) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", _even(1, size)
    yield f"{name}.bias", _even(0, size)


def _random(numbers: random.Random, *shape: int) -> Tensor:
    return Tensor(shape, array("f", (numbers.uniform(-0.13, 0.13) for _ in range(prod(shape)))))


def _even(value: float, size: int) -> Tensor:
    return Tensor((size,), array("f", [value]) * size)
