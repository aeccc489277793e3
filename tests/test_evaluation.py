"""Features and their cache, how answers are scored, and the two probes that are always there."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import one_hot

from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.config import EvaluationConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.errors import UserError
from ssl_bench.evaluation.features import features, scaling, standardise
from ssl_bench.evaluation.knn import TEMPERATURE, knn, knn_predict
from ssl_bench.evaluation.linear import linear, softmax_, train_heads
from ssl_bench.evaluation.probe import Task, bootstrap_interval, check_features, score, split_by_class
from ssl_bench.evaluation.subject import Subject
from ssl_bench.seeds import derive_seed, make_generator

SETTINGS = EvaluationConfig()


pytestmark = pytest.mark.usefixtures("one_thread")


def blobs(count, seed=0, classes=4, dim=12, spread=1.6):
    """Overlapping Gaussian classes with scales that differ a thousandfold between dimensions."""
    centres = torch.randn(classes, dim, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    samples = centres[labels] + spread * torch.randn(count, dim, generator=generator)
    return samples * torch.logspace(-2, 1, dim), labels


def make_task(train=600, test=600, settings=SETTINGS, **kwargs):
    """A task of blobs, and the truth about its test samples."""
    samples, labels = blobs(train, **kwargs)
    queries, truth = blobs(test, seed=1, **kwargs)
    return Task(samples, labels, queries, 4, settings), truth


def accuracy(predicted, truth):
    return float((predicted == truth).double().mean())


def test_the_linear_probe_agrees_with_logistic_regression():
    task, truth = make_task(2000, 4000)
    answer = linear(task)
    fit, _ = task.halves()
    scaled = standardise(task.train[fit], task.train[fit]).numpy(), standardise(task.test, task.train[fit]).numpy()
    reference = LogisticRegression(C=1e4, max_iter=2000).fit(scaled[0], task.labels[fit].numpy())
    assert abs(accuracy(answer.predicted, truth) - reference.score(scaled[1], truth.numpy())) < 0.005
    assert answer.chosen["learning_rate"] in SETTINGS.learning_rates
    assert answer.chosen["weight_decay"] in SETTINGS.weight_decays


def test_weight_decay_of_the_linear_probe_is_that_of_logistic_regression():
    # One full batch is gradient descent: its limit is where scikit-learn's C = 1 / (decay N) is. The bias is free.
    samples, labels = blobs(200)
    scaled, decay = standardise(samples, samples), 0.1
    settings = EvaluationConfig(probe_batch_size=200, probe_epochs=3000)
    head = train_heads(scaled, labels, 4, [(0.3, decay)], settings)[0]
    reference = LogisticRegression(C=1 / (decay * 200), tol=1e-10, max_iter=5000).fit(scaled.double(), labels)
    assert np.allclose(head[:-1].T, reference.coef_, atol=1e-4)
    assert np.allclose(head[-1] - head[-1].mean(), reference.intercept_ - reference.intercept_.mean(), atol=1e-4)


def test_heads_are_trained_as_a_loop_over_updates_says():
    samples, labels = blobs(90)
    scaled = standardise(samples, samples)
    settings = EvaluationConfig(probe_batch_size=40, probe_epochs=1)
    grid = [(0.01, 0.0), (0.1, 0.01), (0.3, 0.1)]
    x = torch.cat([scaled, torch.ones(90, 1)], 1).double()
    made = train_heads(scaled, labels, 4, grid, settings)
    for (rate, decay), head in zip(grid, made, strict=True):
        weights, velocity = torch.zeros(13, 4, dtype=torch.float64), torch.zeros(13, 4, dtype=torch.float64)
        for step in range(1000):
            epoch, place = divmod(step, 2)
            order = torch.randperm(90, generator=make_generator(0, "probe", epoch))[40 * place : 40 * place + 40]
            error = torch.softmax(x[order] @ weights, 1) - one_hot(labels[order], 4)
            free = torch.cat([weights[:-1], torch.zeros(1, 4)])
            velocity = 0.9 * velocity + x[order].T @ error / 40 + decay * free
            weights = weights - rate * 0.5 * (1 + np.cos(np.pi * step / 1000)) * velocity
        assert torch.allclose(head.double(), weights, atol=2e-5)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_softmax_in_place_is_torchs(classes):
    scores = 30 * torch.randn(7, 5, classes, generator=torch.Generator().manual_seed(0))
    scores[0, 0, 0], scores[0, 1, 1] = 1e4, -torch.inf
    expected = torch.softmax(scores.double(), 2).float()
    assert torch.allclose(softmax_(scores), expected, atol=1e-7)
    assert torch.allclose(scores, expected, atol=1e-7)
    assert softmax_(torch.full((1, classes), torch.inf)).isnan().all(), "a head that diverged stays one"


def test_all_heads_at_once_are_each_as_if_alone():
    samples, labels = blobs(100)
    scaled, settings = standardise(samples, samples), EvaluationConfig(probe_batch_size=32, probe_epochs=1)
    grid = [(0.01, 0.0), (0.3, 0.001), (1e6, 0.0)]
    together = train_heads(scaled, labels, 4, grid, settings)
    for index, pair in enumerate(grid[:2]):
        assert torch.allclose(together[index], train_heads(scaled, labels, 4, [pair], settings)[0], atol=1e-5)


def test_a_linear_probe_that_diverges_says_so():
    task, _ = make_task(settings=EvaluationConfig(standardise=False))
    task = replace(task, train=task.train * 1e25, test=task.test * 1e25)
    with pytest.raises(UserError, match=r"diverged at every learning rate: .*evaluation.standardise=true"):
        linear(task)
    assert torch.isin(linear(replace(task, settings=SETTINGS)).predicted, torch.arange(4)).all()


def test_shuffled_labels_give_chance():
    # Classes that overlap almost wholly: with separate clusters a whole cluster would be right or wrong by luck.
    task, truth = make_task(2000, 2000, spread=20)
    shuffled = task.labels[torch.randperm(2000, generator=torch.Generator().manual_seed(0))]
    answer = linear(replace(task, labels=shuffled))
    assert abs(accuracy(answer.predicted, truth) - 0.25) < 5 * (0.25 * 0.75 / 2000) ** 0.5


def test_a_task_holds_no_test_label():
    assert {field.name for field in fields(Task)} == {
        "train",
        "labels",
        "test",
        "classes",
        "settings",
        "tokens",
        "pictures",
        "device",
    }


def test_the_held_out_part_is_of_the_training_set_and_balanced():
    labels = torch.tensor([0] * 50 + [1] * 20 + [2] * 2 + [3])
    kept, held = split_by_class(labels, 0.1, seed=0)
    assert sorted(torch.cat([kept, held]).tolist()) == list(range(73))
    assert torch.bincount(labels[held], minlength=4).tolist() == [5, 2, 1, 0]


def test_halves_are_those_of_the_seed():
    task, _ = make_task(100)
    fit, held_out = task.halves()
    again = split_by_class(task.labels, 0.1, derive_seed(0, "held_out"))
    assert torch.equal(fit, again[0])
    assert torch.equal(held_out, again[1])
    other = replace(task, settings=EvaluationConfig(seed=1)).halves()
    assert not torch.equal(held_out, other[1])


def test_too_few_to_hold_out():
    settings = EvaluationConfig()
    with pytest.raises(UserError, match="class 1 has one training image and none can be held out"):
        Task(torch.randn(5, 2), torch.tensor([0, 0, 1, 2, 2]), torch.randn(3, 2), 3, settings).halves()
    with pytest.raises(UserError, match="there are no training images"):
        Task(torch.empty(0, 2), torch.empty(0, dtype=torch.long), torch.randn(3, 2), 3, settings).halves()
    # A class without any image is nobody's fault here: the others can still be told apart.
    fit, held_out = Task(torch.randn(4, 2), torch.tensor([0, 0, 2, 2]), torch.randn(3, 2), 3, settings).halves()
    assert (len(fit), len(held_out)) == (2, 2)


@pytest.mark.parametrize("where", ["train", "test"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_no_numbers_make_no_task(where, value):
    task, _ = make_task(10, 10)
    broken = getattr(task, where).clone()
    broken[3, 1] = value
    with pytest.raises(UserError, match="not finite"):
        replace(task, **{where: broken})


def test_the_bootstrap_interval_is_the_resampling_one():
    correct = np.array([1] * 70 + [0] * 30)
    rng = np.random.default_rng(0)
    slow = np.quantile([rng.choice(correct, 100).mean() for _ in range(20_000)], [0.025, 0.975])
    assert bootstrap_interval(70, 100, seed=0) == pytest.approx(tuple(slow), abs=0.011)


def test_a_score_counts_by_class():
    predicted, truth = torch.tensor([0, 0, 1, 3, 1]), torch.tensor([0, 1, 1, 0, 1])
    scored = score(predicted, truth, 4, seed=0)
    assert scored["top1"] == 3 / 5
    assert scored["per_class"] == [1 / 2, 2 / 3, None, None]
    assert scored["interval"] == list(bootstrap_interval(3, 5, seed=0))
    assert scored["interval"][0] < 3 / 5 < scored["interval"][1]


@pytest.mark.parametrize("k", [1, 5, 20, 200])
def test_knn_agrees_with_scikit_learn(k):
    bank, labels = blobs(400)
    queries, _ = blobs(200, seed=1)
    reference = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE)
    )
    reference.fit(bank.double().numpy(), labels.numpy())
    ours = knn_predict(bank.double(), labels, queries.double(), 4, [k, 3])[0]
    assert np.array_equal(ours.numpy(), reference.predict(queries.double().numpy()))


def test_knn_answers_for_each_k_from_standardised_features():
    task, _ = make_task(400, 400, settings=EvaluationConfig(knn_k=(20, 1, 1000)))
    scaled = standardise(task.train, task.train), standardise(task.test, task.train)
    answer = knn(task)
    for k, used in ((20, 20), (1, 1), (1000, 400)):
        assert torch.equal(answer.others[f"k={k}"], knn_predict(scaled[0], task.labels, scaled[1], 4, [used])[0]), (
            f"k={k}"
        )
    assert torch.equal(answer.predicted, answer.others["k=20"])
    assert (answer.chosen, answer.held_out_top1) == ({}, None)
    moved = knn(replace(task, train=task.train * 100 + 5, test=task.test * 100 + 5))
    assert accuracy(moved.predicted, answer.predicted) > 0.99
    raw = knn(replace(task, settings=EvaluationConfig(knn_k=20, standardise=False)))
    assert torch.equal(raw.predicted, knn_predict(task.train, task.labels, task.test, 4, [20])[0])
    assert not torch.equal(raw.predicted, answer.predicted)


def test_standardising_leaves_what_it_is_given_as_it_is():
    samples = torch.randn(3000, 4, dtype=torch.float64) * 5 + 2
    before = samples.clone()
    scaled = standardise(samples, samples[:2000])
    expected = (before - before[:2000].mean(0)) / before[:2000].std(0, correction=0)
    assert scaled.dtype == torch.float32
    assert torch.allclose(scaled, expected.float(), atol=1e-6)
    assert torch.equal(samples, before)


def test_standardising_with_a_constant_feature():
    samples = torch.cat([torch.randn(50, 2) * 7 + 3, torch.full((50, 1), 4.1)], dim=1)
    scaled = standardise(samples, samples)
    assert torch.allclose(scaled.mean(0), torch.zeros(3), atol=1e-5)
    assert torch.allclose(scaled.std(0, correction=0), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5)
    assert not standardise(torch.full((50, 3), 4.1), torch.full((50, 3), 4.1)).any()


def test_scaling_in_chunks_is_numpy_s(monkeypatch):
    monkeypatch.setattr("ssl_bench.evaluation.features.CHUNK", 7)
    samples, _ = blobs(50)
    samples += 1000
    mean, scale = scaling(samples)
    assert np.allclose(mean, samples.double().numpy().mean(0), rtol=1e-13)
    assert np.allclose(scale, 1 / samples.double().numpy().std(0), rtol=1e-9)


def test_features_that_say_the_same_of_every_image_are_refused():
    check_features(torch.randn(4, 2), "a run")
    for useless in (torch.full((4, 2), 0.3), torch.randn(1, 2)):
        with pytest.raises(UserError, match="a run: its features are the same for every training image"):
            check_features(useless, "a run")


def make_data():
    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(40) % 2)
    return ImageData("noise", split, split, 2)


def make_subject(encode, weights="w", **details):
    return Subject("a run", lambda images, point: encode(images), weights, step=1, samples_seen=1, **details)


def test_features_are_computed_once_a_set_of_weights(tmp_path):
    data, calls = make_data(), []

    def encode(images):
        calls.append(len(images))
        return images.flatten(1)[:, :3]

    first = features(make_subject(encode), data, "train", tmp_path)
    assert torch.equal(first, data.standardised(data.train.images).flatten(1)[:, :3])
    assert torch.equal(features(make_subject(encode), data, "train", tmp_path), first)
    assert len(calls) == 1
    features(make_subject(encode, weights="other"), data, "train", tmp_path)
    features(make_subject(encode), data, "test", tmp_path)
    features(make_subject(encode, transform="resized to 16"), data, "train", tmp_path)
    assert len(calls) == 4
    for file in tmp_path.iterdir():
        file.write_bytes(b"damaged")
    assert torch.equal(features(make_subject(encode), data, "train", tmp_path), first)
    features(make_subject(encode), data, "train", None)
    assert len(calls) == 6


def test_features_of_some_images_are_those_of_all_where_these_are_kept(tmp_path):
    data, calls = make_data(), []

    def encode(images):
        calls.append(len(images))
        return images.flatten(1)[:, :3]

    subject, rows, others = make_subject(encode), torch.tensor([30, 2, 17]), torch.tensor([2, 30, 17])
    everything = data.standardised(data.train.images).flatten(1)[:, :3]
    for _ in range(2):
        assert torch.equal(features(subject, data, "train", tmp_path, rows=rows), everything[rows])
    assert calls == [3], "kept by themselves"
    assert torch.equal(features(subject, data, "train", tmp_path, rows=others), everything[others])
    assert calls == [3, 3], "the order is a part of what is asked"
    assert torch.equal(features(subject, data, "train", tmp_path), everything)
    assert calls == [3, 3, 40]
    new = torch.arange(39, 9, -1)
    assert torch.equal(features(subject, data, "train", tmp_path, rows=new), everything[new])
    assert len(calls) == 3, "read from those of all"
    features(subject, data, "test", tmp_path, rows=new)
    features(subject, data, "train", None, rows=new)
    assert calls[3:] == [30, 30]


def test_features_are_those_of_the_dataset_they_were_made_of(tmp_path):
    data = make_data()
    other = ImageData("noise", Split(data.train.images.flip(0), data.train.labels), data.test, 2)
    subject = make_subject(lambda images: images.flatten(1)[:, :3])
    made = features(subject, data, "train", tmp_path), features(subject, other, "train", tmp_path)
    assert not torch.equal(*made)
    assert torch.equal(made[1], other.standardised(other.train.images).flatten(1)[:, :3])


def test_feature_points_are_kept_apart_and_tokens_not_at_all(tmp_path):
    data, asked = make_data(), []

    def read(images, point):
        asked.append(str(point))
        return images[:, 0] if point.pool == "tokens" else images[:, 0, len(str(point)) % 8]

    subject = Subject("a run", read, "w")
    points = [
        FeaturePoint(),
        FeaturePoint("mean"),
        FeaturePoint("mean", 2),
        FeaturePoint("cls", 2),
        FeaturePoint("cls"),
    ]
    for _ in range(2):
        for point in points:
            made = features(subject, data, "train", tmp_path, point)
            assert torch.equal(made, data.standardised(data.train.images)[:, 0, len(str(point)) % 8])
    assert asked == [str(point) for point in points]
    kept = len(list(tmp_path.iterdir()))
    for _ in range(2):
        assert features(subject, data, "train", tmp_path, FeaturePoint("tokens")).shape == (40, 8, 8)
    assert len(asked) == len(points) + 2
    assert len(list(tmp_path.iterdir())) == kept


def test_features_that_are_no_numbers_are_refused(tmp_path):
    data = make_data()
    with pytest.raises(UserError, match="a run: its features of noise are not finite"):
        features(make_subject(lambda images: images.flatten(1) / 0), data, "train", tmp_path)
    assert not list(tmp_path.iterdir())
