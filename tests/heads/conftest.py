"""A small world with ten series of items, for heads and for validation; and the encoders of tests/encoders."""

from tests.encoders.conftest import encoders, tiny, tiny_encoder, tiny_reference
from tests.heads.world import dataset, fusion_params

__all__ = ["dataset", "encoders", "fusion_params", "tiny", "tiny_encoder", "tiny_reference"]
