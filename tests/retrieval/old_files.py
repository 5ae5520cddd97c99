"""Index files as older versions wrote them: a graph over copies in 8 bits, HNSW and IVF over plain float32 vectors.

Releases that hold them stay readable.
"""

import faiss
import numpy as np


def hnsw_file(vectors: np.ndarray, links: int = 16, ef_search: int = 64) -> bytes:
    index = faiss.IndexHNSWFlat(vectors.shape[1], links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 64, ef_search
    index.add(vectors)
    return faiss.serialize_index(index).tobytes()


def graph_file(vectors: np.ndarray, links: int = 16) -> bytes:
    index = faiss.IndexHNSWSQ(
        vectors.shape[1], faiss.ScalarQuantizer.QT_8bit, links, faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors)
    index.add(vectors)
    return faiss.serialize_index(index).tobytes()


def ivf_file(vectors: np.ndarray, lists: int = 16, probes: int = 8) -> bytes:
    dim = vectors.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = probes
    return faiss.serialize_index(index).tobytes()
