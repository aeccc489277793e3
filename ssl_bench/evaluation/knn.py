"""k nearest neighbours, protocol ``knn/1``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_bench.evaluation.probe import Answer, Probe, Task

TEMPERATURE = 0.07
# Similarities held at once: as many queries at a time as this allows for all of the bank.
MOST_SIMILARITIES = 2**24


def knn(task: Task) -> Answer:
    """A vote of the k nearest training images, for each k asked for; the first k is the answer.

    Cosine similarity of features standardised with the training set's statistics; votes weigh exp(similarity / 0.07)
    (Wu et al., arXiv 1805.01978). The bank is the whole training set; nothing is selected. A k larger than the training
    set is the whole of it.
    """
    task = task.there()
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
    at_once = max(1, MOST_SIMILARITIES // len(bank))
    for chunk in torch.split(torch.nn.functional.normalize(queries, dim=1), at_once):
        similarity, neighbours = (chunk @ bank.T).topk(max(ks), dim=1)
        # Relative to the nearest: the same vote, without overflow.
        weight = ((similarity - similarity[:, :1]) / TEMPERATURE).exp()
        for found, k in zip(answers, ks, strict=True):
            votes = weight.new_zeros(len(chunk), classes)
            found.append(votes.scatter_add_(1, labels[neighbours[:, :k]], weight[:, :k]).argmax(1))
    return [torch.cat(found) for found in answers]


KNN = Probe("knn/1", knn)
