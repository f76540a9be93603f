"""GGUF files, as far as a model for tests needs them: version 3, tensors of 32-bit floats.

Source: github.com/ggml-org/ggml docs/gguf.md. The `gguf` package would bring numpy and three more for this.
"""

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ALIGNMENT: Final = 32
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_F32: Final = 0

Field = bool | int | float | str | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True)
class Tensor:
    """Weights; `shape` has the length of a row last, as numpy writes it."""

    shape: tuple[int, ...]
    weights: "array[float]"


def write_gguf(path: Path, fields: Mapping[str, Field], tensors: Mapping[str, Tensor]) -> None:
    """Write a model: what it says of itself, and its tensors."""
    head = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(fields)))
    for name, field in fields.items():
        head += _string(name) + _field(field)
    data = bytearray()
    for name, tensor in tensors.items():
        dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *reversed(tensor.shape))
        head += _string(name) + dimensions + struct.pack("<IQ", _F32, len(data))
        data += tensor.weights.tobytes()
        _align(data)
    _align(head)
    path.write_bytes(head + data)


def _field(field: Field) -> bytes:
    match field:
        case bool():
            return struct.pack("<I?", _BOOL, field)
        case int():
            return struct.pack("<II", _UINT32, field)
        case float():
            return struct.pack("<If", _FLOAT32, field)
        case str():
            return struct.pack("<I", _STRING) + _string(field)
        case _:
            return struct.pack("<I", _ARRAY) + _array(field)


def _array(entries: Sequence[int] | Sequence[float] | Sequence[str]) -> bytes:
    texts = [_string(entry) for entry in entries if isinstance(entry, str)]
    if texts:
        return struct.pack("<IQ", _STRING, len(texts)) + b"".join(texts)
    is_whole = all(isinstance(entry, int) for entry in entries)
    kind, code = (_INT32, "i") if is_whole else (_FLOAT32, "f")
    return struct.pack(f"<IQ{len(entries)}{code}", kind, len(entries), *entries)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _align(content: bytearray) -> None:
    content += bytes(-len(content) % ALIGNMENT)
