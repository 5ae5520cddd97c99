"""Effect `fetch-champion`: bring the model that makes profiles and lists into a workspace."""

from collections.abc import Iterator
from functools import partial

from recsys.artifacts import Artifacts
from recsys.registry.fetch import Fetched
from recsys.registry.fetch import fetch_champion as fetch
from recsys.registry.first_light import Pretrained
from recsys.registry.record import record_of
from recsys.settings import Settings


def fetch_champion(uri: str | None, at: Artifacts, chosen: Settings, *, again: bool = False) -> Fetched:
    """Bring the registry's champion; at first light, or without a registry, make it from the catalogue's texts.

    Args:
        uri: MLflow's address; None: no registry.
        at: the workspace.
        chosen: its settings.
        again: make first light anew from the catalogue as it is now.

    Returns:
        The champion, and what to tell people.

    Raises:
        RegistryError: versions exist, but none is champion; or `again`, and the champion was trained.
        RegistryUnreachable: MLflow is down and no champion was ever fetched.
        EncoderError: the encoder cannot be packed, or its files are damaged.
    """
    texts, record = partial(catalogue_texts, at, chosen), partial(record_of, at)
    return fetch(uri, at, Pretrained(chosen.encoder, chosen.first_light, texts, record), again=again)


def catalogue_texts(at: Artifacts, chosen: Settings) -> Iterator[str]:
    """Every text of the catalogue, part by part: what first light is made from.

    Args:
        at: the workspace.
        chosen: its settings.

    Yields:
        Texts of live rows.
    """
    from recsys.catalogue.parts import CATALOGUE, list_parts
    from recsys.features.text import item_texts

    for part in list_parts(at.data, CATALOGUE):
        yield from filter(None, item_texts(part.rows(), chosen.features)["text"].to_pylist())
