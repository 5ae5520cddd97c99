"""RANKERS: every ranker by its name."""

from recsys.errors import EncoderError
from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.mlp import Mlp
from recsys.ranking.ranker import Ranker

RANKERS: dict[str, type[Ranker]] = {"dot": Dot, "item_weights": ItemWeights, "mlp": Mlp}
"""A model and a release name one of them. tests/contracts/test_rankers.py tests each."""


def ranker_class(name: str, n_files: int) -> type[Ranker]:
    """The class of a ranker that was saved.

    Args:
        name: in the model's reference.
        n_files: number of files that the model has for it.

    Returns:
        An entry of RANKERS.

    Raises:
        EncoderError: this version knows no such ranker, or files of it are missing.
    """
    found = RANKERS.get(name)
    if found is None or n_files < found.n_files:
        raise EncoderError(
            f"ranker {name!r} with {n_files} files is not one that this version reads ({', '.join(RANKERS)})",
            remedy="upgrade firstlight-recsys, or fetch or train the model again",
        )
    return found
