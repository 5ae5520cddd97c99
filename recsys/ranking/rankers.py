"""RANKERS: how a release may order its lists."""

from recsys.errors import EncoderError
from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.ranker import Ranker

RANKERS: dict[str, type[Ranker]] = {"dot": Dot, "item_weights": ItemWeights}
"""Name -> ranker; a release names one. tests/contracts/test_rankers.py holds for each."""


def ranker_class(name: str, n_files: int) -> type[Ranker]:
    """The class of a ranker that was saved.

    Args:
        name: as the model says it.
        n_files: how many files the model has for it.

    Returns:
        An entry of RANKERS; it loads from the first `n_files` of them.

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
