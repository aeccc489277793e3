"""What every probe must do, and each of the further probes against the library or the loop that defines it."""

import copy
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import one_hot

from ssl_bench.config import EvaluationConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.views import make_views, recipe_for
from ssl_bench.errors import UserError
from ssl_bench.evaluation import ALWAYS, PROBES
from ssl_bench.evaluation import attentive as attentive_module
from ssl_bench.evaluation import logistic as logistic_module
from ssl_bench.evaluation.attentive import attentive
from ssl_bench.evaluation.features import standardise
from ssl_bench.evaluation.few_shot import draw_shots, few_shot, summarise_draws
from ssl_bench.evaluation.finetune import finetune, rate_factor, train
from ssl_bench.evaluation.latent_pool import LatentPool
from ssl_bench.evaluation.logistic import logistic
from ssl_bench.evaluation.probe import Pictures, Task
from ssl_bench.evaluation.ridge import PENALTIES, fit_ridge, ridge, ridge_classifier

SETTINGS = EvaluationConfig(knn_k=5, shots=(1, 4), draws=3, learning_rates=(0.01, 0.1), weight_decays=(0.0, 1e-3))
CHOOSING = ("linear", "ridge", "logistic", "attentive")


pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def build_encoder(pool=2):
    """A small network that draws its weights from the global generator, as constructors do, and drops some."""
    layers = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(pool), nn.Flatten(), nn.Linear(6 * pool**2, 5))


def make_pictures(data, build):
    recipe = recipe_for("crop", data.image_size)

    def views(images, generator):
        return make_views(images, 1, recipe, data.statistics, None, generator)[0]

    return Pictures(data.train.images, data.test.images, data.standardised, views, build)


def task_of(data, settings=SETTINGS):
    """The task of a dataset for a linear encoder of badly scaled features, with patches for tokens."""
    turn = torch.randn(64, 6, generator=seeded(7)) * torch.logspace(-2, 1, 6)

    def encode(images):
        return data.standardised(images).flatten(1) @ turn + 3

    def patches(images):
        return data.standardised(images)[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).reshape(len(images), 4, 16)

    both = data.train.images, data.test.images
    train, test = (encode(images) for images in both)
    tokens = patches(both[0]), patches(both[1])
    pictures = make_pictures(data, build_encoder)
    return Task(train, data.train.labels, test, data.classes, settings, lambda: tokens, pictures)


def shades(count, seed, signal, blur, classes=3):
    """Images whose class is a direction in the plane of their brightness and of its slope, from top to bottom."""
    labels = torch.arange(count) % classes
    angle = 2 * torch.pi * labels / classes
    plane = signal * torch.stack([angle.cos(), angle.sin()]) + blur * torch.randn(2, count, generator=seeded(seed))
    bright, slope = plane[..., None, None, None]
    images = 128 + bright + slope * torch.linspace(-1, 1, 8)[:, None]
    images = images + 10 * torch.randn(count, 1, 8, 8, generator=seeded(seed + 1))
    return Split(images.clamp(0, 255).byte(), labels)


def shade_data(train=240, signal=50.0, blur=8.0, test=300):
    return ImageData("shades", shades(train, 0, signal, blur), shades(test, 10, signal, blur), 3)


@cache
def easy():
    """A task all can solve."""
    return task_of(shade_data())


def accuracy(predicted, truth):
    return float((predicted == truth).double().mean())


def all_answers(answer):
    return {"": answer.predicted, **answer.others}


def one_of(probes, *left_out):
    return pytest.mark.parametrize("name", [name for name in probes if name not in left_out])


# ------------------------------------------------------------------------------------------------------ every probe


@one_of(PROBES)
def test_an_easy_task_is_solved(name):
    answer = PROBES.get(name).answer(easy())
    truth = shade_data().test.labels
    for key, predicted in all_answers(answer).items():
        assert predicted.shape == truth.shape
        assert predicted.dtype == torch.long
        assert torch.isin(predicted, torch.arange(3)).all()
        assert accuracy(predicted, truth) > (0.5 if "shots=1" in key else 0.9), key
    assert (answer.held_out_top1 is not None) == bool(answer.chosen)
    assert bool(answer.chosen) or name not in CHOOSING


@one_of(PROBES)
def test_shuffled_training_labels_give_chance(name):
    # Classes that overlap almost wholly: with separate clusters a whole cluster would be right or wrong by luck.
    data = shade_data(signal=1.0, blur=40.0, test=900)
    shuffled = data.train.labels[torch.randperm(len(data.train), generator=seeded(3))]
    answer = PROBES.get(name).answer(replace(task_of(data), labels=shuffled))
    for predicted in all_answers(answer).values():
        assert abs(accuracy(predicted, data.test.labels) - 1 / 3) < 5 * (1 / 3 * 2 / 3 / 900) ** 0.5


@one_of(PROBES)
def test_a_test_image_is_answered_alone_and_everything_is_repeatable(name):
    """Half of the test images in another order get the answers they got before, whatever the global generators say.

    Classes overlap, so that many answers are close calls.
    """
    task = task_of(shade_data(signal=15.0, blur=30.0, test=400))
    index = torch.randperm(400, generator=seeded(5))[:200]
    train, test = task.tokens()
    half = replace(
        task,
        test=task.test[index],
        tokens=lambda: (train, test[index]),
        pictures=replace(task.pictures, test=task.pictures.test[index]),
    )
    torch.manual_seed(30)
    first = PROBES.get(name).answer(task)
    torch.manual_seed(31)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = PROBES.get(name).answer(half)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    assert (again.chosen, again.held_out_top1) == (first.chosen, first.held_out_top1)
    for key, predicted in all_answers(again).items():
        assert torch.equal(predicted, all_answers(first)[key][index]), key


@one_of(PROBES)
def test_what_is_constant_gives_one_answer(name):
    train, test = (
        Split(torch.full((count, 1, 8, 8), 77, dtype=torch.uint8), torch.arange(count) % 3) for count in (30, 20)
    )
    for predicted in all_answers(PROBES.get(name).answer(task_of(ImageData("flat", train, test, 3)))).values():
        assert len(torch.unique(predicted)) == 1
        assert int(predicted[0]) in range(3)


@one_of(PROBES)
def test_two_images_a_class_are_enough(name):
    data = shade_data(train=6)
    answer = PROBES.get(name).answer(task_of(data, SETTINGS.model_copy(update={"shots": (1, 2)})))
    assert accuracy(answer.predicted, data.test.labels) > 0.5


@one_of(PROBES, "few_shot")
@pytest.mark.parametrize("classes", [3, 5])
def test_a_class_without_training_images_is_never_answered(name, classes):
    """Class 1 of three (two are left, which some libraries treat apart), and of five."""
    split = shades(120, 0, 50.0, 8.0, classes)
    data = ImageData("shades", split.take(torch.nonzero(split.labels != 1).flatten()), split, classes)
    answer = PROBES.get(name).answer(task_of(data))
    there = split.labels != 1
    assert not (answer.predicted == 1).any()
    assert accuracy(answer.predicted[there], split.labels[there]) > 0.8


@pytest.mark.parametrize("name", CHOOSING)
def test_one_image_of_a_class_cannot_be_held_out(name):
    split = shades(30, 0, 50.0, 8.0)
    lonely = split.take(torch.tensor([*range(0, 30, 3), *range(1, 30, 3), 2]))
    with pytest.raises(UserError, match="class 2 has one training image and none can be held out of it"):
        PROBES.get(name).answer(task_of(ImageData("shades", lonely, split, 3)))


def test_what_is_always_there_is_registered():
    assert set(ALWAYS) <= set(PROBES)
    built_in = {*ALWAYS, *CHOOSING, "few_shot", "finetune"}
    assert {PROBES.get(name).protocol for name in built_in} == {f"{name}/1" for name in built_in}


# ------------------------------------------------------------------------------------------------------------ ridge


def blobs(count, seed=0, classes=4, dim=10, spread=1.6):
    centres = torch.randn(classes, dim, generator=seeded(99))
    labels = torch.arange(count) % classes
    return centres[labels] + spread * torch.randn(count, dim, generator=seeded(seed)) + 1, labels


def blob_task(train=300, test=200, settings=SETTINGS, **kwargs):
    samples, labels = blobs(train, **kwargs)
    return Task(samples, labels, blobs(test, seed=1, **kwargs)[0], int(labels.max()) + 1, settings)


@pytest.mark.parametrize("count", [300, 24])
@pytest.mark.parametrize("classes", [2, 4])
def test_ridge_is_scikit_learn_s(count, classes):
    samples, labels = blobs(count, classes=classes, dim=40)
    queries = blobs(500, seed=1, classes=classes, dim=40)[0].double()
    penalties = (1e-4, 0.1, 3.0, 100.0)
    for weights, penalty in zip(fit_ridge(samples, labels, classes, penalties), penalties, strict=True):
        theirs = Ridge(alpha=penalty * count).fit(samples.double(), one_hot(labels, classes).double())
        assert np.allclose(weights[:-1].T, theirs.coef_, rtol=1e-6, atol=1e-10)
        assert np.allclose(weights[-1], theirs.intercept_, rtol=1e-6, atol=1e-10)
        answers = (queries @ weights[:-1] + weights[-1]).argmax(1)
        classifier = RidgeClassifier(alpha=penalty * count).fit(samples.double(), labels)
        assert np.array_equal(answers, classifier.predict(queries))


def test_the_ridge_penalty_is_the_one_of_least_squared_error_held_out():
    task = blob_task(60, dim=40)
    fit, held_out = task.halves()
    scaler = StandardScaler().fit(task.train[fit].double())
    seen, truth = scaler.transform(task.train[held_out].double()), one_hot(task.labels[held_out], 4).numpy()
    x, y = scaler.transform(task.train[fit].double()), one_hot(task.labels[fit], 4).double().numpy()
    models = [Ridge(alpha=penalty * len(fit)).fit(x, y) for penalty in PENALTIES]
    errors = [((model.predict(seen) - truth) ** 2).mean() for model in models]
    best = int(np.argmin(errors))
    assert 0 < best < len(PENALTIES) - 1
    answer, classifier = ridge(task), ridge_classifier(task)
    assert answer.chosen == {"penalty": PENALTIES[best]} == {"penalty": classifier.penalty}
    expected = models[best].predict(scaler.transform(task.test.double()))
    assert np.allclose(classifier(task.test), expected, rtol=1e-6, atol=1e-9)
    assert np.array_equal(answer.predicted, expected.argmax(1))
    assert answer.held_out_top1 == (models[best].predict(seen).argmax(1) == truth.argmax(1)).mean()


def test_ridge_on_features_as_they_are():
    task = blob_task(settings=EvaluationConfig(standardise=False))
    fit, _ = task.halves()
    classifier = ridge_classifier(task)
    theirs = RidgeClassifier(alpha=classifier.penalty * len(fit)).fit(task.train[fit].double(), task.labels[fit])
    assert np.array_equal(ridge(task).predicted, theirs.predict(task.test.double()))


# --------------------------------------------------------------------------------------------------------- logistic


def test_logistic_is_the_best_of_scikit_learn_s():
    task = blob_task()
    fit, held_out = task.halves()
    scaler = StandardScaler().fit(task.train[fit].double())
    x, seen = scaler.transform(task.train[fit].double()), scaler.transform(task.train[held_out].double())
    models = [
        LogisticRegression(C=strength, max_iter=5000, tol=1e-6).fit(x, task.labels[fit])
        for strength in logistic_module.STRENGTHS
    ]
    losses = [log_loss(task.labels[held_out], model.predict_proba(seen)) for model in models]
    best = models[int(np.argmin(losses))]
    answer = logistic(task)
    assert answer.chosen == {"C": best.C, "converged": True}
    assert accuracy(answer.predicted, torch.from_numpy(best.predict(scaler.transform(task.test.double())))) >= 0.995
    assert answer.held_out_top1 == best.score(seen, task.labels[held_out])


def test_logistic_that_does_not_converge_says_so_in_its_answer_only(monkeypatch):
    monkeypatch.setattr(logistic_module, "ITERATIONS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert logistic(blob_task()).chosen["converged"] is False


@pytest.mark.parametrize("probe", [logistic, few_shot])
def test_one_class_is_nothing_to_tell_apart(probe):
    with pytest.raises(UserError, match="all training images are of class 0"):
        probe(Task(torch.randn(9, 3), torch.zeros(9, dtype=torch.long), torch.randn(2, 3), 1, SETTINGS))


# --------------------------------------------------------------------------------------------------------- few shot


def test_few_shot_is_a_loop_over_draws():
    task = blob_task()
    answer = few_shot(task)
    scaler = StandardScaler().fit(task.train.double())
    test = scaler.transform(task.test.double())
    for draw in range(3):
        order = draw_shots(task.labels, 4, 4, SETTINGS.seed, draw)
        for shots in (1, 4):
            index = [int(order[label, place]) for label in range(4) for place in range(shots)]
            model = LogisticRegression(C=1.0, max_iter=1000)
            model.fit(scaler.transform(task.train[index].double()), task.labels[index])
            assert np.array_equal(answer.others[f"shots={shots}/draw={draw}"], model.predict(test))
    assert len(answer.others) == 6
    assert torch.equal(answer.predicted, answer.others["shots=4/draw=0"])


def test_draws_are_of_each_class_nested_and_different():
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 0, 2, 1, 1, 0])
    drawn = draw_shots(labels, 3, 3, 0, 0)
    assert drawn.shape == (3, 3)
    for label, row in enumerate(drawn):
        assert len(set(row.tolist())) == 3
        assert (labels[row] == label).all()
    assert torch.equal(draw_shots(labels, 3, 2, 0, 0), drawn[:, :2])
    others = [draw_shots(labels, 3, 3, 0, 1), draw_shots(labels, 3, 3, 1, 0)]
    assert not any(torch.equal(drawn, other) for other in others)


def test_draws_are_summarised_by_their_mean_and_percentiles():
    settings = EvaluationConfig(shots=(5, 1), draws=4)
    values = {1: [0.1, 0.4, 0.2, 0.3], 5: [0.6, 0.6, 0.7, 0.5]}
    scored = {f"shots={shots}/draw={draw}": top1 for shots, row in values.items() for draw, top1 in enumerate(row)}
    low, middle = summarise_draws(scored, settings)
    assert low == pytest.approx({"shots": 1, "mean": 0.25, "sd": 0.1290994, "low": 0.1075, "high": 0.3925, "draws": 4})
    assert (middle["shots"], middle["mean"]) == (5, pytest.approx(0.6))


def test_a_class_too_small_for_the_shots_is_named():
    labels = torch.tensor([0] * 9 + [1] * 3 + [2] * 9)
    task = Task(torch.randn(21, 3), labels, torch.randn(2, 3), 3, SETTINGS)
    with pytest.raises(
        UserError, match=r"class 1 has 3 training images.*asks for 4: set evaluation.shots to at most 3"
    ):
        few_shot(task)
    with pytest.raises(UserError, match=r"class 3 has 0 training images.*leave the class out"):
        few_shot(replace(task, classes=4))


# -------------------------------------------------------------------------------------------------------- attentive


def marked_tokens(count, seed, positions=9, classes=4):
    """Every token says a class; only that of the marked one, at a random position, is right."""
    generator = seeded(seed)
    said = torch.randint(classes, (count, positions), generator=generator)
    marked = torch.randint(positions, (count,), generator=generator)
    tokens = torch.cat([one_hot(said, classes), one_hot(marked, positions)[..., None]], dim=2).float()
    tokens += 0.1 * torch.randn(tokens.shape, generator=generator)
    # Widths that differ a hundredfold: without standardising, the marker would not be seen.
    return tokens * torch.tensor([1.0] * classes + [0.01]), said[torch.arange(count), marked]


def test_attention_finds_what_the_mean_has_lost():
    (train, labels), (test, truth) = marked_tokens(600, 0), marked_tokens(400, 1)
    task = Task(train.mean(1), labels, test.mean(1), 4, SETTINGS, tokens=lambda: (train, test))
    kept = train.clone()
    assert accuracy(attentive(task).predicted, truth) > 0.95
    assert accuracy(PROBES.get("linear").answer(task).predicted, truth) < 0.6
    assert torch.equal(train, kept)


@pytest.mark.parametrize(("width", "heads"), [(12, 4), (5, 1)])
def test_the_pool_is_timms_with_its_gradients(width, heads):
    torch.manual_seed(0)
    pool = LatentPool(width, heads).double()
    theirs = copy.deepcopy(pool.parts)
    for parameter in pool.parameters():
        nn.init.normal_(parameter, std=0.5)
    theirs.load_state_dict(pool.parts.state_dict())
    tokens = torch.randn(6, 9, width, dtype=torch.float64, generator=seeded(1))
    assert torch.allclose(pool(tokens), theirs(tokens), atol=1e-12)
    weights = torch.randn(6, width, dtype=torch.float64, generator=seeded(2))
    for module in (pool, theirs):
        (module(tokens) * weights).sum().backward()
    for (name, one), other in zip(pool.parts.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-11), name


def test_tokens_are_standardised_a_dimension_over_all_positions_of_what_is_fitted_on(monkeypatch):
    (train, labels), (test, _) = marked_tokens(40, 0), marked_tokens(5, 1)
    task = Task(train.mean(1), labels, test.mean(1), 4, SETTINGS, tokens=lambda: (train, test))
    like, seen = train[task.halves()[0]].flatten(0, 1), []

    def no_training(head, tokens, fit, task, rate):
        head.pool.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        return head

    monkeypatch.setattr(attentive_module, "train_head", no_training)
    attentive(task)
    assert torch.allclose(seen[-1].flatten(0, 1), standardise(test.flatten(0, 1), like), atol=1e-5)
    assert len(seen) == len(attentive_module.LEARNING_RATES) + 1
    seen.clear()
    attentive(replace(task, settings=SETTINGS.model_copy(update={"standardise": False})))
    assert torch.equal(seen[-1], test)


def test_attention_needs_positions_and_finite_heads():
    task = easy()
    with pytest.raises(UserError, match="attentive: this encoder has no positions to attend to"):
        attentive(replace(task, tokens=None))
    huge = tuple(tokens * 1e30 for tokens in task.tokens())
    raw = SETTINGS.model_copy(update={"standardise": False})
    with pytest.raises(UserError, match=r"every head diverged.*standardise=true"):
        attentive(replace(task, tokens=lambda: huge, settings=raw))


# --------------------------------------------------------------------------------------------------------- finetune


def stripes(count, seed):
    """Lines along the rows or along the columns, of random phase: no linear map of pixels tells them apart."""
    labels = torch.arange(count) % 2
    phase = 2 * torch.pi * torch.rand(count, 1, generator=seeded(seed))
    wave = (torch.arange(12) * 2 * torch.pi / 4 + phase).sin()[:, None, :].expand(-1, 12, -1)
    images = torch.where(labels.view(-1, 1, 1) == 1, wave, wave.transpose(1, 2))[:, None]
    images = 128 + 40 * images + 10 * torch.randn(images.shape, generator=seeded(seed + 1))
    return Split(images.clamp(0, 255).byte(), labels)


def stripe_task(settings=SETTINGS):
    """An encoder that cannot tell rows from columns, since its kernels are symmetric and it averages; until trained."""
    data = ImageData("stripes", stripes(256, 0), stripes(200, 10), 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build_encoder(pool=1).state_dict()
    weights["0.weight"] = (weights["0.weight"] + weights["0.weight"].transpose(2, 3)) / 2

    def build():
        encoder = build_encoder(pool=1)
        encoder.load_state_dict(weights)
        return encoder

    frozen = build().eval().requires_grad_(False)
    train, test = (frozen(data.standardised(split.images)) for split in (data.train, data.test))
    return Task(train, data.train.labels, test, 2, settings, pictures=make_pictures(data, build)), data.test.labels


@pytest.mark.parametrize("standardised", [True, False])
def test_fine_tuning_learns_what_a_frozen_encoder_does_not_hold(standardised):
    task, truth = stripe_task(SETTINGS.model_copy(update={"standardise": standardised}))
    assert accuracy(finetune(task).predicted, truth) > 0.9
    assert accuracy(PROBES.get("linear").answer(task).predicted, truth) < 0.65


def test_fine_tuning_trains_on_views_and_answers_clean_images_in_evaluation_mode(monkeypatch):
    monkeypatch.setattr("ssl_bench.evaluation.finetune.LEAST_UPDATES", 4)
    task, _ = stripe_task(EvaluationConfig(finetune_epochs=3, probe_batch_size=100))
    asked, built = {"views": [], "clean": []}, []

    def noting(kind, function):
        def wrapped(images, *rest):
            asked[kind].append((len(images), built[0].training))
            return function(images, *rest)

        return wrapped

    def build():
        built.append(task.pictures.trainable())
        return built[0]

    pictures = task.pictures
    views, clean = noting("views", pictures.views), noting("clean", pictures.standardised)
    finetune(replace(task, pictures=replace(pictures, views=views, standardised=clean, trainable=build)))
    assert asked["views"] == [(100, True)] * 6
    assert asked["clean"][-1] == (200, False)
    assert not built[0].training


@pytest.mark.parametrize("size", [1, 300])
def test_fine_tuning_takes_any_batch_size(monkeypatch, size):
    monkeypatch.setattr("ssl_bench.evaluation.finetune.LEAST_UPDATES", 1)
    task, truth = stripe_task(EvaluationConfig(finetune_epochs=1, probe_batch_size=size))
    assert finetune(task).predicted.shape == truth.shape


def test_running_statistics_of_the_head_are_averages_of_the_first_batches(monkeypatch):
    monkeypatch.setattr("ssl_bench.evaluation.finetune.LEAST_UPDATES", 6)
    task, _ = stripe_task(EvaluationConfig(finetune_epochs=1, probe_batch_size=128))
    module = nn.Sequential(task.pictures.trainable(), nn.BatchNorm1d(5, affine=False), nn.Linear(5, 2))
    seen = []
    module[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().mean(0)))
    train(module, task.pictures, task, torch.device("cpu"))
    assert len(seen) == 6
    assert torch.allclose(module[1].running_mean, torch.stack(seen).mean(0), atol=1e-6)


def test_the_rate_warms_up_and_anneals():
    rates = [rate_factor(step, 100) for step in range(100)]
    assert rates[:4] == [0.2, 0.4, 0.6, 0.8]
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 1e-3
    assert rate_factor(0, 1) == 1


def test_fine_tuning_needs_an_encoder_that_can_be_trained():
    task, _ = stripe_task()
    for pictures in (None, replace(task.pictures, trainable=None)):
        with pytest.raises(UserError, match="finetune: this encoder's weights cannot be trained"):
            finetune(replace(task, pictures=pictures))
    with pytest.raises(UserError, match="finetune: 1 training images are too few"):
        finetune(replace(task, pictures=replace(task.pictures, train=task.pictures.train[:1])))

    def broken():
        encoder = task.pictures.trainable()
        nn.init.constant_(encoder[0].weight, torch.nan)
        return encoder

    with pytest.raises(UserError, match="finetune: training diverged in epoch 1"):
        finetune(replace(task, pictures=replace(task.pictures, trainable=broken)))
