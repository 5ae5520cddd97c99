"""Models stand on the encoders of tests/encoders."""

from tests.encoders.conftest import encoders, tiny, tiny_encoder, tiny_reference

__all__ = ["encoders", "tiny", "tiny_encoder", "tiny_reference"]
