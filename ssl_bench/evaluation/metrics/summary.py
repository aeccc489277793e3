"""All metrics of one embedding that need no label, by name."""

from __future__ import annotations

from torch import Tensor

from ssl_bench.evaluation.metrics.alignment import alignment_of_views
from ssl_bench.evaluation.metrics.alpha_req import alpha_req
from ssl_bench.evaluation.metrics.clid import clid
from ssl_bench.evaluation.metrics.effective_rank import effective_dimensions
from ssl_bench.evaluation.metrics.lidar import lidar
from ssl_bench.evaluation.metrics.rankme import rankme
from ssl_bench.evaluation.metrics.uniformity import uniformity


def embedding_metrics(test: Tensor, views: Tensor | None) -> dict[str, float | None]:
    """What an embedding looks like, without a label.

    How each is usually read, which is a hypothesis to be held against a probe, and not a claim::

        {
            "rankme": "higher is better",
            "alpha_req": "near 1 is best",
            "alpha_req_r2": "no reading: how much alpha_req is worth",
            "effective_rank": "higher is better",
            "participation_ratio": "higher is better",
            "uniformity": "lower is better",
            "alignment": "lower is better",
            "lidar": "higher is better",
            "cluster_learnability": "higher is better",
            "intrinsic_dimension": "higher is better",
        }

    Args:
        test: Embeddings of clean test images, in random order. Shapes: ``(N, D)``.
        views: Embeddings of q views of each of n images, or ``None``: then ``alignment`` and ``lidar`` are ``None``.
            Shapes: ``(n, q, D)``.

    Returns: One number a key of the dictionary above; ``None`` where it is not defined, never NaN.
    """
    return {
        "rankme": rankme(test),
        **alpha_req(test),
        **effective_dimensions(test),
        "uniformity": uniformity(test),
        "alignment": None if views is None else alignment_of_views(views),
        "lidar": None if views is None else lidar(views),
        **clid(test),
    }
