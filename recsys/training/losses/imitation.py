"""Objective `distill`: a student gives the vectors of its teacher.

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
