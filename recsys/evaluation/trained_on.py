"""What a workspace's champion or challenger was trained on."""

from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing
from recsys.evaluation.provenance import TrainedOn
from recsys.models.reference import ModelReference


def trained_on(at: Artifacts, role: str) -> TrainedOn:
    """What the model of a role was trained on; empty for a model without a record, which was not trained.

    Args:
        at: the workspace.
        role: champion or challenger.

    Returns:
        What it was trained on.

    Raises:
        ArtifactMissing: a trained model has no record, or the challenger's is about another model.
    """
    path, model = at.trained_on(role), ModelReference.load(at.model_reference(role))
    remedy = "run: dvc repro finetune (challenger), or recsys fetch-champion"
    if path.exists():
        found = TrainedOn.load(path)
        if found.model_hash == model.hash:
            return found
        if role == "challenger":
            words = f"{path} is about model {str(found.model_hash)[:10]}, the challenger is {model.hash[:10]}"
            raise ArtifactMissing(words, remedy=remedy)
    if str(at.finetune.relative_to(at.root)) in model.encoder.source:
        words = f"{path} does not say what {role} {model.hash[:10]} was trained on"
        raise ArtifactMissing(words, remedy=remedy)
    return TrainedOn(model_hash=model.hash)
