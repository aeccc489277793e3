"""What grows with the number of images stays far from its square, and what is on a device stays there."""

import math
from dataclasses import replace

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ssl_bench.config import EvaluationConfig
from ssl_bench.evaluation.attentive import AttentiveHead
from ssl_bench.evaluation.features import scaling, standardise
from ssl_bench.evaluation.knn import knn_predict
from ssl_bench.evaluation.linear import linear, train_heads
from ssl_bench.evaluation.metrics.summary import embedding_metrics
from ssl_bench.evaluation.probe import Task
from ssl_bench.evaluation.ridge import fit_ridge, ridge
from ssl_bench.evaluation.subject import in_batches
from ssl_bench.spectrum.r2_gap import r2_gap
from ssl_bench.spectrum.readout import cross_moment, make_readout

COUNT, DIM, CLASSES = 20_000, 64, 10
SETTINGS = EvaluationConfig(probe_epochs=1, learning_rates=(0.1,), weight_decays=(0.0,))


class NoneSoLarge(TorchDispatchMode):
    """Fails where an operation makes a tensor of a quarter of the square of ``count`` or more."""

    def __init__(self, count):
        super().__init__()
        self.most, self.largest = count**2 // 4, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, tuple | list) else (result,):
            if isinstance(one, torch.Tensor):
                self.largest = max(self.largest, one.numel())
                assert one.numel() < self.most, f"{func} made {tuple(one.shape)}"
        return result


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def many():
    """Embeddings of 20,000 samples about the means of their classes, and the classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(COUNT) % CLASSES
    centres = torch.randn(CLASSES, DIM, generator=generator)
    return centres[labels] + torch.randn(COUNT, DIM, generator=generator), labels


def test_the_watchman_sees_a_square_matrix(many):
    with NoneSoLarge(2000), pytest.raises(AssertionError, match="2000, 2000"):
        torch.cdist(many[0][:2000], many[0][:2000])


def test_no_probe_holds_a_number_for_each_pair_of_images(many):
    samples, labels = many
    with NoneSoLarge(COUNT):
        assert (knn_predict(samples, labels, samples[:6000], CLASSES, [20, 1])[0] == labels[:6000]).float().mean() > 0.9
        task = Task(samples, labels, samples[:2000], CLASSES, SETTINGS)
        assert (ridge(task).predicted == labels[:2000]).float().mean() > 0.9
        assert (linear(task).predicted == labels[:2000]).float().mean() > 0.9


def test_no_metric_holds_a_number_for_each_pair_of_images(many):
    samples, _ = many
    with NoneSoLarge(COUNT) as watched:
        found = embedding_metrics(samples, samples.view(-1, 10, DIM))
    assert all(value is not None and math.isfinite(value) for value in found.values())
    assert watched.largest >= COUNT * DIM


def test_no_spectrum_holds_a_number_for_each_pair_of_images(many):
    samples, _ = many
    coefficients = samples @ torch.randn(DIM, 48, generator=torch.Generator().manual_seed(1))
    variances = torch.arange(48, 0, -1, dtype=torch.float64)
    with NoneSoLarge(COUNT):
        readout = make_readout(samples, samples[:2000])
        cross_moment(readout.fit, coefficients[: len(readout.fit)], torch.zeros(48, dtype=torch.float64))
        r2_gap(variances, coefficients, samples, coefficients[:2000], samples[:2000])


@pytest.mark.parametrize("count", [90, 12])
def test_probes_compute_where_their_features_are(count):
    """On tensors that only claim to be on a GPU: an operation on two devices is an error, as it is on a real one."""
    with FakeTensorMode():
        samples = torch.empty(count, 30, device="cuda")
        labels = torch.zeros(count, dtype=torch.long, device="cuda")
        with torch.device("cuda"):
            head = AttentiveHead(*scaling(samples), 3)
        made = [
            *scaling(samples),
            standardise(samples, samples),
            *knn_predict(samples, labels, samples, 3, [5, 1]),
            fit_ridge(samples, labels, 3, (0.1, 1.0)),
            train_heads(samples, labels, 3, [(0.1, 0.0), (0.3, 1e-3)], SETTINGS),
            head(torch.empty(7, 4, 30, device="cuda")),
        ]
    assert {one.device.type for one in made} == {"cuda"}


def test_a_task_is_moved_as_a_whole_and_only_where_it_is_asked(monkeypatch):
    labels = torch.arange(40) % 4
    task = Task(torch.randn(40, 3), labels, torch.randn(5, 3), 4, SETTINGS)
    assert task.there().train is task.train
    monkeypatch.setattr(Task, "__post_init__", lambda task: None)  # which looks at values, and meta has none
    elsewhere = replace(task, device=torch.device("meta"))
    assert {tensor.device.type for tensor in (elsewhere.train, elsewhere.labels, elsewhere.test)} == {"cpu"}
    there = elsewhere.there()
    assert {tensor.device.type for tensor in (there.train, there.labels, there.test)} == {"meta"}
    assert there.train.shape == task.train.shape


def test_features_are_made_on_the_subjects_device_in_larger_batches_off_the_cpu():
    """Meta tensors hold no values, so that nothing can come back from there: the first batch is enough."""
    seen = []

    def function(images):
        seen.append((len(images), images.device.type))
        return images.flatten(1)

    images = torch.zeros(2500, 1, 2, 2)
    assert in_batches(function, images, lambda batch: batch).shape == (2500, 4)
    assert seen[:2] == [(128, "cpu")] * 2
    seen.clear()
    with pytest.raises(NotImplementedError, match="meta"):
        in_batches(function, images, lambda batch: batch, torch.device("meta"))
    assert seen == [(1024, "meta")]
