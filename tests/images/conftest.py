import pytest

from tests.images.server import pictures_server


@pytest.fixture
def server():
    with pictures_server() as running:
        yield running
