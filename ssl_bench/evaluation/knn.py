"""k nearest neighbours, protocol ``knn/1``."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.evaluation.features import standardise

PROTOCOL = "knn/1"
TEMPERATURE = 0.07


def knn_accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, classes: int, k: int) -> float:
    """Accuracy of a vote of the ``k`` nearest training images; protocol ``knn/1``.

    Cosine similarity of features standardised with the training set's statistics; votes weigh exp(similarity / 0.07)
    (Wu et al., arXiv 1805.01978). The bank is the whole training set; nothing is selected.

    Shapes: train ``(N, D)``, test ``(M, D)``.
    """
    predicted = knn_predict(
        standardise(train, train), train_labels, standardise(test, train), classes, min(k, len(train))
    )
    return float((predicted == test_labels).double().mean())


def knn_predict(bank: Tensor, labels: Tensor, queries: Tensor, classes: int, k: int) -> Tensor:
    """The class each query's neighbours vote for. Shapes: ``(N, D)``, ``(N,)``, ``(M, D)`` -> ``(M,)``."""
    bank = torch.nn.functional.normalize(bank, dim=1)
    answers = []
    for chunk in torch.split(torch.nn.functional.normalize(queries, dim=1), 1000):
        similarity, neighbours = (chunk @ bank.T).topk(k, dim=1)
        # Relative to the nearest: the same vote, without overflow.
        weight = ((similarity - similarity[:, :1]) / TEMPERATURE).exp()
        votes = torch.zeros(len(chunk), classes, dtype=weight.dtype).scatter_add_(1, labels[neighbours], weight)
        answers.append(votes.argmax(1))
    return torch.cat(answers)
