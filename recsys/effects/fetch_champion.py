"""Effect `fetch-champion`: bring the model that makes profiles and lists into a workspace."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from recsys.artifacts import Artifacts
from recsys.models.reference import ModelReference
from recsys.progress import report_progress
from recsys.settings import Settings
from recsys.storage.protocol import Storage

MEASURED_FROM = 10_000
"""With at least this many catalogue rows, first light measures both precisions. Fewer take only seconds in either."""


@dataclass(frozen=True)
class Brought:
    """The workspace's champion, and what came with it."""

    model: ModelReference
    how: str
    """Where it came from, for people."""
    warning: str = ""
    """What a person should know, such as that the registry is down; empty: nothing."""
    has_verdict: bool | None = None
    """Whether the gate ever judged it; None: the verdict was not asked for, or there is no registry."""
    n_segments: int | None = None
    """Published segments that were reused; None: profiles were not asked for."""
    rates: str = ""
    """Speed of the encoder in both precisions, and which to use here; empty: not measured."""


def fetch_champion(
    uri: str | None,
    at: Artifacts,
    chosen: Settings,
    storage: Storage | None = None,
    *,
    published: bool = False,
    verdict: bool = False,
    profiles: bool = False,
    again: bool = False,
) -> Brought:
    """Bring the champion into a workspace. Safe to repeat: what is up to date is left alone.

    Args:
        uri: MLflow's address; None: no registry.
        at: the workspace.
        chosen: its settings.
        storage: where releases live; needed for `published` and `profiles`.
        published: bring the newest release's model instead. Before the first release this changes nothing.
        verdict: bring the gate's decision about it too, if there is a registry.
        profiles: bring the published profiles too, where this model would make the same ones.
        again: make first light anew from the catalogue as it is now.

    Returns:
        The champion, and what came with it.

    Raises:
        RegistryError: versions exist, but none is champion; or `again`, and the champion was trained.
        RegistryUnreachable: MLflow is down and no champion was ever fetched.
        EncoderError: the encoder cannot be packed, or its files are damaged.
        ReleaseError: a file of the newest release is missing or damaged.
        StorageError: the store cannot be reached.
    """
    brought = _from_release(storage, at) if published and storage else None
    if brought is None:
        brought = _from_registry(uri, at, chosen, verdict=verdict, again=again)
        _save_teacher(brought.model, uri, at, chosen)  # a release does not say what its model was trained on
    if not profiles or storage is None:
        return brought
    from recsys.publishing.published_model import bring_profiles

    return replace(brought, n_segments=bring_profiles(storage, at, brought.model))


def _from_release(storage: Storage, at: Artifacts) -> Brought | None:
    """The newest release's model; None where nothing has been published."""
    from recsys.publishing.published_model import bring_model

    model = bring_model(storage, at)
    return Brought(model, f"the model of the newest release: {model.hash[:10]}") if model else None


def _from_registry(
    uri: str | None, at: Artifacts, chosen: Settings, *, verdict: bool, again: bool
) -> Brought:
    """The registry's champion; at first light, or without a registry, one made from the catalogue's texts."""
    from recsys.registry.fetch import fetch_champion as fetch
    from recsys.registry.fetch import fetch_verdict
    from recsys.registry.first_light import Pretrained
    from recsys.registry.record import record_of

    texts, record = partial(catalogue_texts, at, chosen), partial(record_of, at)
    pretrained = Pretrained(chosen.encoder, chosen.first_light, texts, record)
    found = fetch(uri, at, pretrained, again=again)
    has_verdict = fetch_verdict(uri, at) if verdict and uri else None
    rates = _rates(at, chosen) if found.is_first_light else ""
    return Brought(found.model, f"champion: {found.how}", found.warning, has_verdict, rates=rates)


def _rates(at: Artifacts, chosen: Settings) -> str:
    """Which precision to use on this machine, if enough must be encoded for it to matter."""
    from recsys.catalogue.kinds import CATALOGUE
    from recsys.catalogue.parts import list_parts
    from recsys.encoders.rates import encoder_rates

    if sum(part.arrival.n_rows for part in list_parts(at.data, CATALOGUE)) < MEASURED_FROM:
        return ""
    return encoder_rates(chosen.encoder, at.encoders, at.rates, report_progress=report_progress).sentence()


def _save_teacher(champion: ModelReference, uri: str | None, at: Artifacts, chosen: Settings) -> None:
    """Record the champion for a training that reads it, and bring its weights if the training continues from them."""
    from recsys.training.teacher import Teacher

    if not chosen.finetune.needs_champion:
        Teacher().save(at.teacher)
        return
    from recsys.evaluation.trained_on import trained_on

    found = Teacher(encoder=champion.encoder, trained=trained_on(at, "champion"))
    if uri and chosen.finetune.start == "champion" and found.trained and found.trained.trained_on:
        from recsys.registry.weights import fetch_weights

        found = found.model_copy(update={"weights": fetch_weights(uri, champion, at.weights)})
    found.save(at.teacher)


def catalogue_texts(at: Artifacts, chosen: Settings) -> Iterator[str]:
    """Every text of the catalogue, part by part. First light is made from them.

    Args:
        at: the workspace.
        chosen: its settings.

    Yields:
        Texts of live rows.
    """
    from recsys.catalogue.kinds import CATALOGUE
    from recsys.catalogue.parts import list_parts
    from recsys.features.text import item_texts
    from recsys.storage.tables import in_blocks

    for part in list_parts(at.data, CATALOGUE):
        for rows in in_blocks(part.rows()):
            yield from filter(None, item_texts(rows, chosen.features)["text"].to_pylist())
