"""k nearest neighbours, protocol ``knn/1``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_bench.evaluation.probe import Answer, Probe, Task

TEMPERATURE = 0.07


def knn(task: Task) -> Answer:
    """A vote of the k nearest training images, for each k asked for; the first k is the answer.

    Cosine similarity of features standardised with the training set's statistics; votes weigh exp(similarity / 0.07)
    (Wu et al., arXiv 1805.01978). The bank is the whole training set; nothing is selected. A k larger than the training
    set is the whole of it.
    """
    bank, queries = task.scaled(task.train, task.train), task.scaled(task.test, task.train)
    wanted = task.settings.knn_k
    votes = knn_predict(bank, task.labels, queries, task.classes, [min(k, len(bank)) for k in wanted])
    others = {f"k={k}": vote for k, vote in zip(wanted, votes, strict=True)}
    return Answer(votes[0], others=others)


def knn_predict(bank: Tensor, labels: Tensor, queries: Tensor, classes: int, ks: Sequence[int]) -> list[Tensor]:
    """The class each query's neighbours vote for, for each k.

    Shapes: ``(N, D)``, ``(N,)``, ``(M, D)`` -> ``(M,)`` each.
    """
    bank = torch.nn.functional.normalize(bank, dim=1)
    answers: list[list[Tensor]] = [[] for _ in ks]
    for chunk in torch.split(torch.nn.functional.normalize(queries, dim=1), 1000):
        similarity, neighbours = (chunk @ bank.T).topk(max(ks), dim=1)
        # Relative to the nearest: the same vote, without overflow.
        weight = ((similarity - similarity[:, :1]) / TEMPERATURE).exp()
        for found, k in zip(answers, ks, strict=True):
            votes = torch.zeros(len(chunk), classes, dtype=weight.dtype)
            found.append(votes.scatter_add_(1, labels[neighbours[:, :k]], weight[:, :k]).argmax(1))
    return [torch.cat(found) for found in answers]


KNN = Probe("knn/1", knn)
