"""Encoders: texts become unit vectors. Packed once (torch), run anywhere (openvino)."""

from recsys.encoders.encoder import Encoder
from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import EncoderReference, PackedFile, RegistryEntry, verify_packed
from recsys.encoders.transformer import open_encoder

__all__ = [
    "Encoder",
    "EncoderReference",
    "PackedFile",
    "RegistryEntry",
    "open_encoder",
    "pack_encoder",
    "verify_packed",
]
