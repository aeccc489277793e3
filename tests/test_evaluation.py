import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from ssl_bench.config import EvaluationConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.errors import UserError
from ssl_bench.evaluation.features import embed, standardise
from ssl_bench.evaluation.knn import TEMPERATURE, knn_accuracy, knn_predict
from ssl_bench.evaluation.linear import bootstrap_interval, linear_probe, split_by_class
from ssl_bench.evaluation.subject import Subject
from ssl_bench.seeds import derive_seed

SETTINGS = EvaluationConfig()


def blobs(count, seed=0, classes=4, dim=12, spread=1.6):
    """Overlapping Gaussian classes with scales that differ a thousandfold between dimensions."""
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    features = centres[labels] + spread * torch.randn(count, dim, generator=generator)
    return features * torch.logspace(-2, 1, dim), labels


def test_the_probe_agrees_with_logistic_regression():
    train, labels = blobs(2000)
    test, test_labels = blobs(4000, seed=1)
    result = linear_probe(train, labels, test, test_labels, 4, SETTINGS)
    fit, held_out = split_by_class(labels, 0.1, derive_seed(0, "held_out"))
    scaled = standardise(train[fit], train[fit]).numpy(), standardise(test, train[fit]).numpy()
    reference = LogisticRegression(C=1e4, max_iter=2000).fit(scaled[0], labels[fit].numpy())
    assert abs(result.linear_top1 - reference.score(scaled[1], test_labels.numpy())) < 0.005
    assert (result.train_samples, result.held_out_samples, result.test_samples) == (len(fit), len(held_out), 4000)
    low, high = result.linear_interval
    assert low < result.linear_top1 < high


def test_shuffled_labels_give_chance():
    # Classes that overlap almost wholly: with separate clusters a whole cluster would be right or wrong by luck.
    train, labels = blobs(2000, spread=20)
    test, test_labels = blobs(2000, seed=1, spread=20)
    shuffled = labels[torch.randperm(2000, generator=torch.Generator().manual_seed(0))]
    accuracy = linear_probe(train, shuffled, test, test_labels, 4, SETTINGS).linear_top1
    assert abs(accuracy - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5


def test_test_labels_choose_nothing():
    train, labels = blobs(600)
    test, test_labels = blobs(600, seed=1)
    honest = linear_probe(train, labels, test, test_labels, 4, SETTINGS)
    spoiled = linear_probe(train, labels, test, torch.zeros_like(test_labels), 4, SETTINGS)
    assert (honest.selected_lr, honest.held_out_top1) == (spoiled.selected_lr, spoiled.held_out_top1)
    assert honest.linear_top1 != spoiled.linear_top1


def test_the_held_out_part_is_of_the_training_set_and_balanced():
    labels = torch.tensor([0] * 50 + [1] * 20 + [2] * 2 + [3])
    kept, held = split_by_class(labels, 0.1, seed=0)
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(73))
    assert torch.bincount(labels[held], minlength=4).tolist() == [5, 2, 1, 0]
    with pytest.raises(UserError, match="too few to hold out"):
        linear_probe(torch.randn(3, 2), torch.arange(3), torch.randn(3, 2), torch.arange(3), 3, SETTINGS)


def test_the_bootstrap_interval_is_the_resampling_one():
    correct = np.array([1] * 70 + [0] * 30)
    rng = np.random.default_rng(0)
    slow = np.quantile([rng.choice(correct, 100).mean() for _ in range(20_000)], [0.025, 0.975])
    assert bootstrap_interval(70, 100, seed=0) == pytest.approx(tuple(slow), abs=0.011)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn_agrees_with_scikit_learn(k):
    bank, labels = blobs(400)
    queries, _ = blobs(200, seed=1)
    reference = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
    )
    reference.fit(bank.double().numpy(), labels.numpy())
    assert np.array_equal(
        knn_predict(bank.double(), labels, queries.double(), 4, k).numpy(), reference.predict(queries.double().numpy())
    )


def test_knn_uses_standardised_features():
    train, labels = blobs(400)
    test, test_labels = blobs(400, seed=1)
    scaled = standardise(train, train), standardise(test, train)
    expected = float((knn_predict(scaled[0], labels, scaled[1], 4, 20) == test_labels).double().mean())
    assert knn_accuracy(train, labels, test, test_labels, 4, 20) == expected
    assert knn_accuracy(train * 100 + 5, labels, test * 100 + 5, test_labels, 4, 20) == pytest.approx(
        expected, abs=0.01
    )


def test_standardising_with_a_constant_feature():
    features = torch.cat([torch.randn(50, 2) * 7 + 3, torch.full((50, 1), 4.0)], dim=1)
    scaled = standardise(features, features)
    assert torch.allclose(scaled.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(scaled.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5)


def make_data():
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(40) % 2)
    return ImageData("noise", split, split, 2)


def make_subject(encode, weights="w"):
    return Subject("a run", encode, None, weights, step=1, samples_seen=1, trained=True)


def test_features_are_computed_once_a_set_of_weights(tmp_path):
    data, calls = make_data(), []

    def encode(images):
        calls.append(len(images))
        return images.flatten(1)[:, :3]

    first = embed(make_subject(encode), data, data.train, tmp_path)
    assert torch.equal(first, data.standardised(data.train.images).flatten(1)[:, :3])
    assert torch.equal(embed(make_subject(encode), data, data.train, tmp_path), first)
    assert len(calls) == 1
    embed(make_subject(encode, weights="other"), data, data.train, tmp_path)
    embed(make_subject(encode), data, data.train.take(torch.arange(5)), tmp_path)
    assert len(calls) == 3
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    assert torch.equal(embed(make_subject(encode), data, data.train, tmp_path), first)


def test_embeddings_that_are_no_numbers_are_refused(tmp_path):
    data = make_data()
    with pytest.raises(UserError, match="a run: its embeddings of noise are not finite"):
        embed(make_subject(lambda images: images.flatten(1) / 0), data, data.train, tmp_path)
    assert not list(tmp_path.iterdir())
