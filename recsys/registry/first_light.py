"""First light: the model before any training, made from the pretrained encoder and the catalogue's texts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.encoders.params import EncoderParams, FirstLightParams
from recsys.errors import RegistryError
from recsys.heads.first_light import FirstLight, pack_first_light
from recsys.models.packed import remember_model
from recsys.models.reference import ModelReference
from recsys.registry import mlflow
from recsys.registry.changes import FIRST_LIGHT, Cause, Move
from recsys.registry.ledger import move
from recsys.registry.mlflow import FIRST_LIGHT_TAG, RegisteredVersion
from recsys.registry.record import RunRecord
from recsys.registry.registering import register_model


@dataclass(frozen=True)
class Pretrained:
    """How to make the model of first light, and what to log about it."""

    params: EncoderParams
    first_light: FirstLightParams
    texts: Callable[[], Iterable[str]]
    """Every text of the catalogue; called only when a model must be made."""
    record: Callable[[], RunRecord]
    """Called only when a model is registered."""


def make(at: Artifacts, pretrained: Pretrained) -> ModelReference:
    """Pack the pretrained encoder of params.yaml, and learn a head where the catalogue has enough texts.

    Args:
        at: the workspace.
        pretrained: how to make it.

    Returns:
        The model, without a registry entry. The same texts give the same model.

    Raises:
        EncoderError: the encoder cannot be packed.
    """
    wanted = pretrained.params
    base = pack_encoder(wanted, at.encoders, list(pretrained.texts()) if wanted.precision == "int8" else ())
    head = pack_first_light(base, pretrained.texts(), at.cache, pretrained.first_light, wanted.batch_tokens)
    model = ModelReference.of(base, head)
    remember_model(model, at.cache)
    return model


def is_still_wanted(saved: ModelReference, at: Artifacts, pretrained: Pretrained) -> bool:
    """Whether an earlier model is still the one that params.yaml describes.

    Texts that were added since do not count: learning or calibrating again would change every profile.

    Args:
        saved: the earlier model; its files are undamaged in at.cache.
        at: the workspace.
        pretrained: how a model would be made now.

    Returns:
        Whether it is kept.
    """
    if differences(saved, pretrained.params, ("source",)):
        return False
    record = _record(saved, at)
    if saved.has_head and (record is None or record.params != pretrained.first_light):
        return False
    if saved.encoder.precision == "int8":
        return True
    base = pack_encoder(pretrained.params, at.encoders, ())
    return base.hash == (record.base if record else saved.encoder.hash)


def register(uri: str, at: Artifacts, pretrained: Pretrained, model: str) -> RegisteredVersion:
    """Register the model of first light and make it champion.

    Safe to repeat after a kill, also when more has landed meanwhile. Of two workers at the same time, both end with the
    version that came first.

    Args:
        uri: MLflow's address.
        at: the workspace.
        pretrained: how to make it, where no version has been registered yet.
        model: registered model name; no version of it is champion.

    Returns:
        The champion.

    Raises:
        RegistryError: other versions exist; a person must decide which of them is champion.
        EncoderError: the encoder cannot be packed.
    """
    found = mlflow.versions(uri, model)
    begun = [version for version in found if version.is_first_light]
    model_made = None if begun else make(at, pretrained)
    own = {model_made.hash} if model_made else {version.hash for version in begun}
    if others := [version.version for version in found if version.hash not in own]:
        remedy = f"give one the alias in MLflow's page, or: mlflow models alias set {model} champion VERSION"
        raise RegistryError(f"versions {', '.join(others)} of {model} exist, none is champion", remedy=remedy)
    if model_made is not None:
        made = _keep(uri, at, model_made, pretrained, model)
        begun = [version for version in mlflow.versions(uri, model) if version.is_first_light] or [made]
    why = "no version was champion: the pretrained encoder of params.yaml"
    move(uri, Move(mlflow.CHAMPION, begun[0], Cause(FIRST_LIGHT, "fetch-champion", why)))
    return begun[0]


def register_again(
    uri: str, at: Artifacts, pretrained: Pretrained, over: RegisteredVersion
) -> RegisteredVersion:
    """Make first light anew from today's catalogue, in place of a champion that was never trained.

    Args:
        uri: MLflow's address.
        at: the workspace.
        pretrained: how to make it.
        over: the present champion.

    Returns:
        The champion; the present one where nothing has changed.

    Raises:
        RegistryError: the champion was trained.
        GateClosed: another version became champion meanwhile.
    """
    if over.trained.trained_on is not None:
        raise RegistryError(
            f"version {over.version} of {over.model} was trained: first light would undo that",
            remedy="train a challenger: it learns from today's catalogue",
        )
    made_anew = make(at, pretrained)
    if made_anew.hash == over.hash:
        return over
    made = _keep(uri, at, made_anew, pretrained, over.model)
    why = "first light made anew from today's catalogue"
    move(uri, Move(mlflow.CHAMPION, made, Cause(FIRST_LIGHT, "fetch-champion", why), over=over.version))
    return made


def description(model: ModelReference, at: Artifacts) -> str:
    """What a model of first light was made of, for people."""
    record = _record(model, at)
    if record is None:
        return "the pretrained encoder alone"
    return f"the pretrained encoder, joined with the words of {record.n_landmarks:,} texts of the catalogue"


def differences(model: ModelReference, params: EncoderParams, more: tuple[str, ...]) -> str:
    """Keys of section `encoder` in params.yaml whose values differ from the model's encoder."""
    keys = (*more, "pooling", "item_prefix", "query_prefix", "max_tokens", "precision")
    pairs = {key: (getattr(params, key), getattr(model.encoder, key)) for key in keys}
    # A prefix that is None is that of the source's folder, which belongs to the source.
    wanted = {key: here for key, (here, there) in pairs.items() if here is not None and here != there}
    return ", ".join(f"encoder.{key}: {value}" for key, value in wanted.items())


def _record(model: ModelReference, at: Artifacts) -> FirstLight | None:
    """The record among the files of the head, or of an encoder whose files include a head."""
    folder = at.cache / "heads" / model.head.hash if model.head else at.encoders / model.encoder.hash
    return FirstLight.load(folder)


def _keep(
    uri: str, at: Artifacts, made: ModelReference, pretrained: Pretrained, name: str
) -> RegisteredVersion:
    record = pretrained.record()
    tags = {**record.tags, FIRST_LIGHT_TAG: description(made, at)}
    return register_model(uri, made, at.cache, replace(record, tags=tags), name)
