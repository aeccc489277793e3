"""Contestants that answer a probe's question: classes of test features, from training features and their labels."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.made import CLASSES, made_features
from ssl_bench.config import EvaluationConfig
from ssl_bench.evaluation import PROBES
from ssl_bench.evaluation.features import standardise
from ssl_bench.evaluation.knn import TEMPERATURE
from ssl_bench.evaluation.probe import Task
from ssl_bench.evaluation.ridge import PENALTIES

NEIGHBOURS = 20
# Of lightly's linear evaluation.
EPOCHS, BATCH = 90, 256


class Probe:
    """Answers once a work, and says at the end how often it was right.

    Args:
        answer: The task to the classes of its test features, ``(M,)``.
        count: Training features N; test features are a fifth as many.
        dimension: D.
    """

    def __init__(self, answer: Callable[[Task], Tensor], count: int, dimension: int) -> None:
        features, labels = made_features(count + count // 5, dimension)
        self.task = Task(features[:count], labels[:count], features[count:], CLASSES, EvaluationConfig())
        self.truth = labels[count:]
        self.answer = answer
        self.predicted = self.truth

    def __call__(self) -> int:
        """One answer."""
        self.predicted = self.answer(self.task)
        return 1

    def about(self) -> dict[str, Any]:
        """Its accuracy."""
        return {"top1_percent": 100 * float((self.predicted == self.truth).double().mean())}


def ours(name: str, count: int, dimension: int) -> Probe:
    """A probe of ssl_bench, with its choice of settings on held-out training features."""
    answer = PROBES.get(name).answer
    return Probe(lambda task: answer(task).predicted, count, dimension)


def scikit(name: str, count: int, dimension: int) -> Probe:
    """scikit-learn's estimator, on features that it standardises; ``linear`` and ``knn`` choose nothing."""
    threadpool_limits(torch.get_num_threads())

    def answer(task: Task) -> Tensor:
        estimators = {
            "linear": lambda: LogisticRegression(max_iter=1000),
            "knn": lambda: KNeighborsClassifier(NEIGHBOURS, metric="cosine", weights="distance"),
            # Its penalty is of the sum of squares, ours of their mean.
            "ridge": lambda: RidgeClassifierCV(alphas=[count * penalty for penalty in PENALTIES]),
        }
        model = make_pipeline(StandardScaler(), estimators[name]())
        model.fit(task.train.numpy(), task.labels.numpy())
        return torch.from_numpy(model.predict(task.test.numpy()))

    return Probe(answer, count, dimension)


def lightly_knn(count: int, dimension: int, device: str = "cpu") -> Probe:
    """k-NN of lightly, with our k and temperature, test features in batches of 256 as in its benchmarks."""
    from lightly.utils.benchmarking import knn_predict

    def answer(task: Task) -> Tensor:
        bank, queries = (standardise(one, task.train).to(device) for one in (task.train, task.test))
        bank = torch.nn.functional.normalize(bank, dim=1).t().contiguous()
        labels, found = task.labels.to(device), []
        for batch in torch.split(torch.nn.functional.normalize(queries, dim=1), BATCH):
            found.append(knn_predict(batch, bank, labels, CLASSES, NEIGHBOURS, TEMPERATURE)[:, 0])
        return torch.cat(found).cpu()

    return Probe(answer, count, dimension)


def lightly_linear(count: int, dimension: int, device: str = "cpu", epochs: int = EPOCHS) -> Probe:
    """Linear evaluation of lightly, through Lightning: one learning rate, 90 epochs.

    On features instead of images: as shipped it also runs the backbone in every epoch.
    """
    from lightly.utils.benchmarking import LinearClassifier
    from pytorch_lightning import Trainer
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    def answer(task: Task) -> Tensor:
        features = standardise(task.train, task.train)
        loader = DataLoader(TensorDataset(features, task.labels), BATCH, shuffle=True, drop_last=True)
        head = LinearClassifier(torch.nn.Identity(), BATCH, feature_dim=dimension, num_classes=CLASSES)
        quiet: dict[str, Any] = dict.fromkeys(
            ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
        )
        trainer = Trainer(max_epochs=epochs, accelerator="gpu" if device == "cuda" else "cpu", devices=1, **quiet)
        with warnings.catch_warnings():
            # That the loader has no workers, which would cost time here.
            warnings.simplefilter("ignore")
            trainer.fit(head, loader)
        with torch.no_grad():
            scores: Tensor = head.cpu()(standardise(task.test, task.train))
        return scores.argmax(1)

    return Probe(answer, count, dimension)
