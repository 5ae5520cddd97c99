"""Every error that Firstlight raises on purpose. Each message names the row, key or file, and the remedy.

RecsysError
├── ConfigError            params.yaml or the environment is wrong; names the key
├── BatchRefused           a landed batch was stopped before it touched anything; names file and reason
├── UnreadableFile         a landed file cannot be parsed at all; names file and line where known
├── DataDamaged            an accepted part is missing or damaged; names the file
├── ArtifactMissing        a stage's input is not there; names the stage that makes it
├── ImageBroken            an item's picture cannot be had; the item itself stays
├── EncoderError           an encoder cannot be packed, opened or used
├── TrainingError          fine-tuning cannot go on; names the batch or step
├── ClusterError           machines that should compute together cannot; names the one
├── GateClosed             a result, not a fault: exit code 99
├── RegistryError          MLflow holds something else than it should
│   ├── RegistryUnreachable    MLflow is down or refuses to answer
│   └── WebhookRefused         a delivery is not MLflow's, or not of now
├── StorageError           a folder or bucket cannot be read or written
│   ├── SwapLost           somebody else moved the pointer first
│   ├── StateMoved         another worker has gone on from the state that this one worked on
│   └── DiskFull           there is no room for a file; names it
├── ConflictError          an id comes again with other content; names the id
└── ReleaseError           a release is incomplete, corrupt, unknown or of a newer format
    ├── OtherModel       the newest release was made with another model than this workspace's
    ├── Overtaken          somebody else published what this workspace has not caught up with
    └── RequestError       a question to a release cannot be answered as it is put; names the field
        ├── UnknownItem        it names an item that the release does not hold
        └── UnreadableText     its text holds nothing that the encoder reads; an EncoderError too
"""

import errno


class RecsysError(Exception):
    """Base of every deliberate error; `remedy` is printed below the message."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message}\n  remedy: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class ConfigError(RecsysError):
    """params.yaml or the environment is wrong."""


class BatchRefused(RecsysError):
    """A landed batch was stopped before it touched anything."""


class UnreadableFile(RecsysError):
    """A landed file cannot be parsed at all."""


class DataDamaged(RecsysError):
    """An accepted part is missing or damaged."""


RESTORE_DATA = "restore data/ with `dvc checkout data.dvc --force`"
"""What to do about a damaged part."""


class ArtifactMissing(RecsysError):
    """A stage's input is not there."""


class ImageBroken(RecsysError):
    """An item's picture cannot be fetched, or is none; `reason` is a key of `recsys.images.reasons.REMEDIES`."""

    def __init__(self, reason: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason


class EncoderError(RecsysError):
    """An encoder cannot be packed, opened or used."""


class TrainingError(RecsysError):
    """Fine-tuning cannot go on: a loss that is not finite, no memory left."""


class ClusterError(RecsysError):
    """Machines that should compute together cannot: a node is missing, differs from the others, or is gone."""


class GateClosed(RecsysError):
    """The gate's verdict was no; a result, not a fault."""


class RegistryError(RecsysError):
    """MLflow holds something else than it should."""


class RegistryUnreachable(RegistryError):
    """MLflow is down or refuses to answer: what was fetched last may still be used."""


class WebhookRefused(RegistryError):
    """A webhook's delivery is unsigned, forged, altered, too old, or unreadable."""


class StorageError(RecsysError):
    """A folder or bucket cannot be read or written."""


class SwapLost(StorageError):
    """Compare-and-swap found another value than expected: somebody else moved first."""


class StateMoved(StorageError):
    """Another worker has gone on from the state that this one worked on: what this one made is not stored."""


NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFull(StorageError, OSError):
    """There is no room for a file: the disk is full, or a quota or limit is reached. An OSError too, as it was."""


def disk_full(error: OSError, file: object) -> DiskFull | None:
    """What to raise instead of an error of writing.

    Args:
        error: of the system, or numpy's, which has no number when a whole array could not be written.
        file: that could not be written.

    Returns:
        None where the error is another one.
    """
    is_numpys = error.errno is None and " requested and " in str(
        error
    )  # others without one: networks, formats
    if isinstance(error, DiskFull) or not (is_numpys or error.errno in NO_ROOM):
        return None
    return DiskFull(
        f"no room for {file}: {error.strerror or error}",
        remedy="make room (docs/operations.md#disk), then run the same command again: it goes on",
    )


class ConflictError(RecsysError):
    """An event comes again under an id that is known, with other content."""


class ReleaseError(RecsysError):
    """A release is incomplete, corrupt, unknown or of a newer format."""


class OtherModel(ReleaseError):
    """The newest release was made with another model than this workspace's artifacts."""


class Overtaken(ReleaseError):
    """Somebody else published meanwhile: what this workspace holds is not all there is any more."""


class RequestError(ReleaseError):
    """A question to a release cannot be answered as it is put."""


class UnknownItem(RequestError):
    """A question names an item that the release does not hold."""


class UnreadableText(EncoderError, RequestError):
    """An encoder finds nothing in a text that it could read: an item's, or that of a question."""
