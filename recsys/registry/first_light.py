"""First light: the encoder before anything is trained, made from the pretrained one and the catalogue's texts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from recsys.artifacts import Artifacts
from recsys.encoders.first_light import FirstLight, pack_first_light
from recsys.encoders.pack import pack_encoder
from recsys.encoders.params import EncoderParams, FirstLightParams
from recsys.encoders.reference import EncoderReference
from recsys.errors import RegistryError
from recsys.registry import mlflow
from recsys.registry.changes import FIRST_LIGHT, Move, Said
from recsys.registry.ledger import move
from recsys.registry.mlflow import FIRST_LIGHT_TAG, RegisteredEncoder
from recsys.registry.record import RunRecord


@dataclass(frozen=True)
class Pretrained:
    """How to make the encoder of first light, and what to write down about it."""

    params: EncoderParams
    first_light: FirstLightParams
    texts: Callable[[], Iterable[str]]
    """Every text of the catalogue; asked only when an encoder must be made."""
    record: Callable[[], RunRecord]
    """Asked only when something is registered."""


def make(at: Artifacts, pretrained: Pretrained) -> EncoderReference:
    """Pack the pretrained encoder of params.yaml, and join words to it where the catalogue has enough texts.

    Args:
        at: the workspace.
        pretrained: how.

    Returns:
        The reference, without a registry entry; for the same texts the encoder that was packed before.

    Raises:
        EncoderError: the encoder cannot be packed.
    """
    asked = pretrained.params
    base = pack_encoder(asked, at.encoders, list(pretrained.texts()) if asked.precision == "int8" else ())
    return pack_first_light(base, pretrained.texts(), at.encoders, pretrained.first_light, asked.batch_tokens)


def is_still_asked(saved: EncoderReference, at: Artifacts, pretrained: Pretrained) -> bool:
    """Whether params.yaml asks for an encoder that was made earlier.

    The texts of a grown catalogue are not looked at: joined or calibrated again, they would encode everything anew.

    Args:
        saved: whole in at.encoders.
        at: the workspace.
        pretrained: how one would be made now.

    Returns:
        Whether it stays.
    """
    if differences(saved, pretrained.params, ("source",)):
        return False
    record = FirstLight.load(at.encoders / saved.hash)
    if saved.has_head and (record is None or record.params != pretrained.first_light):
        return False
    if saved.precision == "int8":
        return True
    base = pack_encoder(pretrained.params, at.encoders, ())
    return base.hash == (record.base if record else saved.hash)


def register(uri: str, at: Artifacts, pretrained: Pretrained, model: str) -> RegisteredEncoder:
    """Register the encoder of first light and make it champion.

    Done again after a kill, it ends the same, also when more has landed meanwhile; of two workers at once both end
    with the version that came first.

    Args:
        uri: MLflow's address.
        at: the workspace.
        pretrained: how it is made, where no version has been registered yet.
        model: registered model name; no version of it is champion.

    Returns:
        The champion.

    Raises:
        RegistryError: other versions exist: which of them is champion is a person's decision.
        EncoderError: the encoder cannot be packed.
    """
    found = mlflow.versions(uri, model)
    begun = [version for version in found if version.is_first_light]
    reference = None if begun else make(at, pretrained)
    own = {reference.hash} if reference else {version.hash for version in begun}
    if others := [version.version for version in found if version.hash not in own]:
        remedy = f"give one the alias in MLflow's page, or: mlflow models alias set {model} champion VERSION"
        raise RegistryError(f"versions {', '.join(others)} of {model} exist, none is champion", remedy=remedy)
    if reference is not None:
        made = _keep(uri, at, reference, pretrained, model)
        begun = [version for version in mlflow.versions(uri, model) if version.is_first_light] or [made]
    why = "no version was champion: the pretrained encoder of params.yaml"
    move(uri, Move(mlflow.CHAMPION, begun[0], Said(FIRST_LIGHT, "fetch-champion", why)))
    return begun[0]


def register_again(
    uri: str, at: Artifacts, pretrained: Pretrained, over: RegisteredEncoder
) -> RegisteredEncoder:
    """Make first light anew from the catalogue as it is now, in place of a champion that nothing has trained.

    Args:
        uri: MLflow's address.
        at: the workspace.
        pretrained: how.
        over: the champion.

    Returns:
        The champion; the same one where nothing has changed.

    Raises:
        RegistryError: the champion was trained.
        GateClosed: another version became champion meanwhile.
    """
    if over.trained.trained_on is not None:
        raise RegistryError(
            f"version {over.version} of {over.model} was trained: first light would undo that",
            remedy="train a challenger: it learns from the catalogue as it is",
        )
    reference = make(at, pretrained)
    if reference.hash == over.hash:
        return over
    made = _keep(uri, at, reference, pretrained, over.model)
    why = "first light made anew from the catalogue as it is"
    move(uri, Move(mlflow.CHAMPION, made, Said(FIRST_LIGHT, "fetch-champion", why), over=over.version))
    return made


def told(reference: EncoderReference, at: Artifacts) -> str:
    """What an encoder of first light is made of, for people."""
    record = FirstLight.load(at.encoders / reference.hash)
    if record is None:
        return "the pretrained encoder as it comes"
    return f"the pretrained encoder, joined with the words of {record.n_landmarks:,} texts of the catalogue"


def differences(reference: EncoderReference, params: EncoderParams, more: tuple[str, ...]) -> str:
    """Which keys of params.yaml's section `encoder` ask for something else than `reference` is."""
    keys = (*more, "pooling", "max_tokens", "precision")
    wanted = {key: getattr(params, key) for key in keys if getattr(params, key) != getattr(reference, key)}
    return ", ".join(f"encoder.{key}: {value}" for key, value in wanted.items())


def _keep(
    uri: str, at: Artifacts, reference: EncoderReference, pretrained: Pretrained, model: str
) -> RegisteredEncoder:
    record = pretrained.record()
    tags = {**record.tags, FIRST_LIGHT_TAG: told(reference, at)}
    return mlflow.register_encoder(
        uri, reference.hash, at.encoders / reference.hash, replace(record, tags=tags), model
    )
