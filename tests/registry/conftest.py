"""Fixtures of the registry's tests: a workspace that has trained and judged, and a model name for every test."""

from uuid import uuid4

import pytest

from tests.registry.judged import Trained


@pytest.fixture
def trained(workspace):
    return Trained(workspace)


@pytest.fixture
def model():
    """A model name of its own for every test: the server is shared."""
    return f"encoder-{uuid4().hex[:8]}"
