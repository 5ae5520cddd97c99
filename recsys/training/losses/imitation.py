"""Distances to another model's vectors of the same texts: of a student to its teacher, of a challenger to the champion.

Paper: Reimers & Gurevych 2020, EMNLP, "Making monolingual sentence embeddings multilingual using knowledge
distillation", arXiv:2004.09813; there the squared distance, which for unit vectors is twice this.
"""

from torch import Tensor

# Shape suffixes: B texts, D dimension.


def distance_to_teacher(student_BD: Tensor, teacher_BD: Tensor) -> Tensor:
    """1 - cosine of student and teacher.

    Args:
        student_BD: unit vectors.
        teacher_BD: unit vectors of the same texts.

    Returns:
        A scalar in [0, 2], the mean over the texts.
    """
    return 1 - (student_BD * teacher_BD).sum(dim=1).mean()


def squared_distance(x_BD: Tensor, target_BD: Tensor) -> Tensor:
    """Squared Euclidean distance of two vectors.

    Args:
        x_BD: unit vectors.
        target_BD: unit vectors of the same texts.

    Returns:
        A scalar in [0, 4], the mean over the texts.
    """
    return ((x_BD - target_BD) ** 2).sum(dim=1).mean()
