"""Projected images are what a slow transcription of the protocol gives, and what is said of them is true."""

import csv
import hashlib
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from ssl_bench.backbones import make_backbone
from ssl_bench.comparison import compare
from ssl_bench.config import (
    YOUNGER,
    BackboneConfig,
    Config,
    DatasetConfig,
    decides,
    flatten,
    identity,
    to_yaml,
    validate,
)
from ssl_bench.data import subspace as subspace_module
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.levels import CLIPPED_SHARE, Levels, choose_levels, store
from ssl_bench.data.load import load_dataset
from ssl_bench.data.subspace import choose, components, normalised, project
from ssl_bench.data.subspace_specs import canonical_subspace, make_subspace
from ssl_bench.errors import UserError
from ssl_bench.matrix import axes, cells
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.objectives.base import Batch, Given
from ssl_bench.objectives.supervised import SupervisedOptions
from ssl_bench.overrides import load_config
from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import make_blocks
from ssl_bench.reporting.subspaces import HEAD, PROBE, subspace_parts
from ssl_bench.runs.directory import RunDirectory

SPECS = ["top(share=0.8)", "bottom(share=0.3)", "top(components=0.5)", "bottom(components=7)"]


def draw(count, channels, size, seed):
    """Images whose components fall off, about a mean image that is not even."""
    rng = np.random.default_rng(seed)
    dimension = channels * size**2
    mixing = np.linalg.qr(np.random.default_rng(99).standard_normal((dimension, dimension)))[0]
    scales = 90 * 0.93 ** np.arange(dimension)
    values = 128 + 30 * np.sin(np.arange(dimension)) + rng.standard_normal((count, dimension)) * scales @ mixing.T
    return torch.from_numpy(values.clip(0, 255).round().astype(np.uint8)).view(count, channels, size, size)


def make_data(channels=1, train=300, test=60, size=6):
    splits = [Split(draw(n, channels, size, seed), torch.arange(n) % 3) for seed, n in enumerate((train, test))]
    return ImageData("made", *splits, classes=3)


def published(data, kept, renormalise=True):
    """The protocol in float64, with a singular value decomposition. ``kept`` chooses from components, largest first."""

    def flat(split):
        pixels = split.images.numpy().reshape(len(split), -1) / 255.0
        return pixels / (pixels.std(1, keepdims=True) + 1e-6)

    train, test = flat(data.train), flat(data.test)
    mean = train.mean(0)
    _, singular, rows = np.linalg.svd(train - mean, full_matrices=False)
    chosen = kept(singular**2 / (singular**2).sum())
    axes = rows[chosen]
    made = [(values - mean) @ axes.T @ axes for values in (train, test)]
    if renormalise:
        made = [values / (values.std(1, keepdims=True) + 1e-6) for values in made]
        made = [values - made[0].mean(0) for values in made]
    return *made, chosen.sum()


def explained(shares):
    """The published thresholds are set against this: of each component and all larger ones, the share."""
    return np.array([sum(shares[: index + 1]) for index in range(len(shares))])


def by_number(first, last):
    return lambda shares: (np.arange(len(shares)) >= first) & (np.arange(len(shares)) < last)


KEPT = {
    "top(share=0.8)": lambda shares: explained(shares) < 0.8,
    "bottom(share=0.3)": lambda shares: explained(shares) >= 0.7,
    "top(components=0.5)": lambda shares: np.arange(len(shares)) < len(shares) // 2,
    "bottom(components=7)": lambda shares: np.arange(len(shares)) >= len(shares) - 7,
}


def values_of(data, split):
    low, high = data.details["subspace"]["levels"]
    return split.images.flatten(1).double().numpy() * (high - low) / 255 + low


# projection


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("spec", SPECS)
def test_projected_images_are_those_of_a_slow_transcription(spec, renormalise, channels):
    data = make_data(channels)
    text = spec if renormalise else spec.replace(")", ", renormalise=false)")
    made = project(data, text)
    train, test, count = published(data, KEPT[spec], renormalise)
    facts = made.details["subspace"]
    assert (facts["components"], facts["of"]) == (count, channels * 36)
    low, high = facts["levels"]
    half = (high - low) / 255 / 2
    for split, expected in ((made.train, train), (made.test, test)):
        error = np.abs(values_of(made, split) - expected.clip(low, high))
        assert error.max() <= half * 1.01
    assert (made.train.images.shape, made.test.images.shape) == (data.train.images.shape, data.test.images.shape)
    assert torch.equal(made.train.labels, data.train.labels)
    noise = ((values_of(made, made.train) - train) ** 2).sum() / (train**2).sum()
    assert facts["quantisation"] == pytest.approx(noise, rel=0.01)
    assert facts["quantisation"] < 0.001


def test_renormalising_is_what_gives_every_image_the_same_contrast():
    data = make_data()
    deviations = []
    for text in ("bottom(components=7)", "bottom(components=7, renormalise=false)"):
        made = project(data, text)
        # The mean image is taken off last, so that contrasts are equal up to the little that it has.
        deviations.append(values_of(made, made.train).std(1))
    assert deviations[0].std() / deviations[0].mean() < 0.1
    assert deviations[1].std() / deviations[1].mean() > 0.2


@pytest.mark.parametrize("share", [0.35, 0.6, 0.8, 0.9, 0.99])
def test_top_and_bottom_are_complements_and_their_energy_adds_up(share):
    basis = components(make_data().train.images)
    pair = [f"top(share={share})", f"bottom(share={1 - share:.2f})"]
    top, bottom = (choose(make_subspace(text), basis, text) for text in pair)
    assert top.axes.shape[1] + bottom.axes.shape[1] == len(basis.variances)
    assert (top.axes.T @ bottom.axes).abs().max() < 1e-10
    assert top.variance + bottom.variance == pytest.approx(1, abs=1e-12)
    # What is asked for is not what is held: the component on the border is always below.
    assert top.variance < share <= top.variance + float(basis.variances[top.axes.shape[1]] / basis.variances.sum())
    assert bottom.variance > 1 - share


def test_the_shares_of_the_protocol_at_their_ends():
    basis = components(make_data().train.images)
    assert len(basis.variances) == 36

    def dimensions(text):
        return choose(make_subspace(text), basis, text).axes.shape[1]

    assert dimensions("top(share=1)") == 35
    assert dimensions("bottom(share=1)") == 36
    assert dimensions("bottom(share=1e-15)") == 1
    assert dimensions("top(components=1)") == 1
    assert dimensions("top(components=0.29)") == 10  # 0.29 * 36 = 10.44
    assert dimensions("bottom(components=0.001)") == 1
    assert dimensions("random(components=36)") == 36
    whole = choose(make_subspace("bottom(share=1)"), basis, "")
    assert whole.variance == pytest.approx(1, abs=1e-12)


def test_only_training_images_decide():
    data = make_data()
    other = data.test.images.clone()
    other[30:] = 255 - other[30:] // 2
    changed = ImageData("made", data.train, Split(other, data.test.labels), classes=3)
    first, second = project(data, "bottom(share=0.3)"), project(changed, "bottom(share=0.3)")
    assert torch.equal(first.train.images, second.train.images)
    assert torch.equal(first.test.images[:30], second.test.images[:30])
    assert not torch.equal(first.test.images[30:], second.test.images[30:])
    same = ("components", "variance", "levels", "quantisation", "clipped")
    assert all(first.details["subspace"][key] == second.details["subspace"][key] for key in same)


def test_fewer_images_than_dimensions():
    data = make_data(channels=3, train=15, test=20)
    made = project(data, "bottom(share=1)")
    facts = made.details["subspace"]
    # 15 images about their mean span 14 of 108 dimensions: there are no other components, and nothing is kept there.
    assert (facts["components"], facts["of"]) == (14, 14)
    assert facts["variance"] == pytest.approx(1, abs=1e-12)
    train, test, _ = published(data, by_number(0, 14))
    rows = np.linalg.svd(normalised(data.train.images).numpy() - normalised(data.train.images).numpy().mean(0))[2]
    centred = normalised(data.test.images).numpy() - normalised(data.train.images).numpy().mean(0)
    inside = ((centred @ rows[:14].T) ** 2).sum() / (centred**2).sum()
    assert facts["test_variance"] == pytest.approx(inside)
    assert facts["test_variance"] < 0.95
    low, high = facts["levels"]
    for split, expected in ((made.train, train), (made.test, test)):
        assert np.abs(values_of(made, split) - expected.clip(low, high)).max() <= (high - low) / 255 * 0.51
    random = choose(make_subspace("random(components=14)"), components(data.train.images), "")
    assert random.variance == pytest.approx(1, abs=1e-10)


def test_an_even_image_does_not_drown_the_others():
    data = make_data()
    before = components(data.train.images).variances
    data.train.images[0] = 200
    data.train.images[1] = 0
    data.train.images[2] = 200
    data.train.images[2, 0, 0, 0] = 201
    after = components(data.train.images).variances
    assert (after / before)[:20].max() < 1.5
    flat = normalised(data.train.images[:2])
    assert torch.allclose(flat[0], torch.full((36,), 200 / 255 / 0.25, dtype=torch.float64), atol=1e-4)
    assert flat[1].abs().max() == 0


# random subspaces


def test_a_random_subspace_has_its_dimension_and_holds_the_share_it_says():
    basis = components(make_data().train.images)
    text = "random(components=12, seed=1)"
    one, again = (choose(make_subspace(text), basis, text) for _ in range(2))
    assert torch.equal(one.axes, again.axes)
    assert torch.allclose(one.axes.T @ one.axes, torch.eye(12, dtype=torch.float64), atol=1e-10)
    covariance = (basis.components * basis.variances) @ basis.components.T
    held = torch.trace(one.axes.T @ covariance @ one.axes) / torch.trace(covariance)
    assert one.variance == pytest.approx(float(held))
    drawn = [choose(make_subspace(f"random(components=12, seed={seed})"), basis, "").variance for seed in range(60)]
    # Every direction is as likely as any other: 12 of 36 dimensions hold a third, on average.
    assert np.mean(drawn) == pytest.approx(1 / 3, abs=4 * np.std(drawn) / np.sqrt(60))
    assert np.std(drawn) > 0.01


@pytest.mark.parametrize("train", [300, 25])
def test_a_random_subspace_does_not_depend_on_the_signs_of_the_components(train):
    basis = components(make_data(train=train).train.images)
    signs = torch.where(torch.arange(len(basis.variances)) % 2 == 0, 1.0, -1.0)
    flipped = type(basis)(basis.mean, basis.variances, basis.components * signs)
    one, other = (choose(make_subspace("random(components=5)"), which, "").axes for which in (basis, flipped))
    assert torch.allclose(one @ one.T, other @ other.T, atol=1e-8)


def test_a_random_subspace_of_equal_dimension():
    data = make_data()
    facts = [project(data, text).details["subspace"] for text in ("top(share=0.8)", "random(like=top(share=0.8))")]
    assert facts[0]["components"] == facts[1]["components"]
    assert facts[1]["nominal"] is None
    assert facts[1]["variance"] < facts[0]["variance"] / 2


# specs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tpo(share=0.9)", "unknown subspace 'tpo'; did you mean 'top'"),
        ("top(shar=0.9)", "subspace 'top(shar=0.9)': unknown key 'shar'; did you mean 'share'"),
        ("top", "give share= (of the variance) or components= (of their number), one of the two"),
        ("bottom(share=0.1, components=3)", "one of the two"),
        ("top(share=0)", "'share' = 0: Input should be greater than 0"),
        ("top(share=1.2)", "'share' = 1.2: Input should be less than or equal to 1"),
        ("top(components=2.5)", "from 1 on it is their whole number"),
        ("top(components=true)", "true and false are for switches"),
        ("random()", "give components= (of their number) or like= (another subspace), one of the two"),
        ("random(like=random(components=3))", "like= names a top or a bottom subspace"),
        ("random(like=tap(share=0.5))", "unknown subspace 'tap'; did you mean 'top'"),
        ("top(share=", "cannot be read here"),
    ],
)
def test_wrong_specs_are_named_before_anything_is_loaded(text, message):
    with pytest.raises(UserError) as caught:
        validate(Config, {"dataset": {"name": "digits", "subspace": text}})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("top(share=0.01)", r"subspace 'top\(share=0.01\)' is empty: the first component alone holds .* larger share"),
        ("bottom(components=37)", r"'bottom\(components=37\)': the training images have 36 components: ask for fewer"),
    ],
)
def test_subspaces_that_these_images_do_not_have(text, message):
    with pytest.raises(UserError, match=message):
        project(make_data(), text)


def test_images_without_components():
    alike = Split(torch.full((5, 1, 4, 4), 7, dtype=torch.uint8), torch.arange(5) % 2)
    with pytest.raises(UserError, match="these are all alike"):
        project(ImageData("alike", alike, alike, 2), "bottom(share=0.5)")
    large = Split(torch.zeros(3, 3, 65, 65, dtype=torch.uint8), torch.arange(3) % 2)
    with pytest.raises(UserError, match=r"covariance of all 12675 pixel values.*choose smaller images"):
        project(ImageData("large", large, large, 2), "bottom(share=0.5)")


def test_one_subspace_has_one_form():
    assert canonical_subspace(" top( share = .9 ,renormalise=true)") == "top(share=0.9)"
    assert canonical_subspace("random(seed=0, components=8.0)") == "random(components=8)"
    nested = "random(like=bottom(share=0.2), seed=3)"
    assert canonical_subspace("random(seed=3, like=bottom(share=.20))") == nested
    assert canonical_subspace(nested) == nested
    without = canonical_subspace("bottom(renormalise=false, share=0.2)")
    assert canonical_subspace(without) == without
    assert not make_subspace(without).renormalise


# configuration and identity


def test_a_subspace_is_part_of_what_a_run_is_and_none_changes_nothing():
    def config(**dataset):
        return validate(Config, {"dataset": {"name": "digits", **dataset}})

    before = flatten(config().model_dump(mode="json"))
    before = {key: value for key, value in before.items() if key not in YOUNGER}
    text = json.dumps({k: v for k, v in before.items() if decides(k)}, sort_keys=True, separators=(",", ":"))
    assert identity(config()) == identity(config(subspace=None)) == hashlib.sha256(text.encode()).hexdigest()[:12]
    several = [config(), config(subspace="top(share=0.9)"), config(subspace="bottom(share=0.9)")]
    assert len({identity(one) for one in several}) == 3
    assert identity(config(subspace="top(share = .9)")) == identity(several[1])


def test_the_loss_that_supervised_runs_had_keeps_their_identity():
    def config(**options):
        return validate(Config, {"objective": {"name": "supervised", **options}})

    assert identity(config()) == identity(config(loss="cross_entropy")) != identity(config(loss="mse"))


def test_a_list_of_subspaces_spans_a_matrix():
    words = ["dataset=digits", "dataset.subspace=[null, top(share=0.9), random(like=top(share=0.9), seed=1)]"]
    raw = load_config(None, words)
    texts = [None, "top(share=0.9)", "random(like=top(share=0.9), seed=1)"]
    assert axes(raw) == {"dataset.subspace": texts}
    assert [config.dataset.subspace for config in cells(raw)] == texts


def test_the_shipped_comparison_is_supervised_on_subspaces():
    raw = load_config("pca_subspace")
    assert raw.pop("baselines") == []
    configs = cells(raw)
    assert {config.objective.name for config in configs} == {"supervised"}
    assert {config.objective.model_extra["loss"] for config in configs} == {"mse"}
    texts = [config.dataset.subspace for config in configs]
    assert len(texts) == len(set(texts)) == len(raw["dataset"]["subspace"])
    assert {None, "top(components=0.5)", "bottom(components=0.5)", "random(components=0.5)"} <= set(texts)


def test_loading_projects_after_the_limits():
    settings = {"name": "digits", "limit": 200, "test_limit": 50}
    whole = load_dataset(DatasetConfig(**settings))
    made = load_dataset(DatasetConfig(**settings, subspace="top(share=0.9)"))
    assert (len(made.train), len(made.test)) == (200, 50)
    facts = made.details["subspace"]
    expected = project(whole, "top(share=0.9)")
    assert facts == expected.details["subspace"]
    assert torch.equal(made.train.images, expected.train.images)
    assert facts["origin"] == whole.fingerprint
    assert json.loads(json.dumps(facts)) == facts
    # Some pixels of digits are always empty: they are no component.
    assert facts["of"] < 64


def test_the_fingerprint_is_that_of_the_images_and_the_subspace():
    data = make_data()
    one, again, other = (project(data, text) for text in ("top(share=0.8)", "top(share=0.8)", "top(share=0.9)"))
    assert one.fingerprint == again.fingerprint
    assert len({data.fingerprint, one.fingerprint, other.fingerprint}) == 3
    assert project(make_data(test=61), "top(share=0.8)").fingerprint != one.fingerprint


def test_components_are_computed_once(monkeypatch):
    data = make_data()
    project(data, "top(share=0.8)")
    monkeypatch.setattr(subspace_module, "_compute", None)
    assert project(data, "bottom(share=0.2)").details["subspace"]["components"] > 0
    with pytest.raises(TypeError):
        project(make_data(train=299), "bottom(share=0.2)")


# grey levels


def test_levels_clip_no_more_than_they_say():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2000, 500, generator=generator) ** 3
    levels = choose_levels(values)
    stored = store(values, levels)
    assert 0 < stored.clipped <= CLIPPED_SHARE
    assert levels.high < float(values.max())
    restored = stored.images.double() * (levels.high - levels.low) / 255 + levels.low
    noise = (restored - values.double()).square().sum() / values.double().square().sum()
    assert stored.noise == pytest.approx(float(noise), rel=1e-4)
    few = choose_levels(values[:5, :5])
    assert (few.low, few.high) == pytest.approx((float(values[:5, :5].min()), float(values[:5, :5].max())), rel=1e-3)


def test_levels_are_an_affine_map():
    levels = Levels(-1.0, 1.55)
    assert levels.quantise(torch.tensor([-9.0, -1.0, -0.994, -0.996, 1.55, 9.0])).tolist() == [0, 0, 1, 0, 255, 255]
    assert levels.restore(torch.tensor([0, 100, 255], dtype=torch.uint8)).tolist() == pytest.approx([-1, 0, 1.55])


# supervised objective


def make_supervised(loss, backbone="mlp", classes=4):
    torch.manual_seed(0)
    made = make_backbone(BackboneConfig(name=backbone, latent_dim=8), 8, 2)
    return OBJECTIVES.get("supervised").build(made, SupervisedOptions(loss=loss), Given(classes))


def make_batch(count=5, classes=4):
    views = torch.randn(1, count, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(views, torch.arange(count) % classes)


def test_squared_error_is_to_one_hot_labels():
    objective = make_supervised("mse")
    batch = make_batch()
    scores = objective.classify(batch.views[0]).detach().double().numpy()
    total = 0.0
    for row, label in zip(scores, batch.labels.tolist(), strict=True):
        for index, score in enumerate(row):
            total += (score - (1.0 if index == label else 0.0)) ** 2
    output = objective.step(batch, torch.Generator())
    assert float(output.loss.detach()) == pytest.approx(total / scores.size, rel=1e-5)
    assert float(output.metrics["train_top1"]) == pytest.approx(np.mean(scores.argmax(1) == batch.labels.numpy()))


def test_cross_entropy_is_still_the_default():
    assert SupervisedOptions().loss == "cross_entropy"
    objective = make_supervised("cross_entropy")
    batch = make_batch()
    scores = objective.classify(batch.views[0]).detach().double().numpy()
    chosen = scores[np.arange(5), batch.labels.numpy()] - np.log(np.exp(scores).sum(1))
    assert float(objective.step(batch, torch.Generator()).loss.detach()) == pytest.approx(-chosen.mean(), rel=1e-5)


def test_scores_are_the_classifiers_and_others_have_none():
    objective = make_supervised("mse", "resnet_micro").eval()
    images = make_batch().views[0]
    expected = objective.backbone(images).embedding @ objective.classifier.weight.T + objective.classifier.bias
    assert torch.allclose(objective.classify(images), expected, atol=1e-6)
    other = OBJECTIVES.get("autoencoder")
    backbone = make_backbone(BackboneConfig(name="resnet_micro", latent_dim=8), 8, 2)
    assert other.build(backbone, other.options_model(), Given(4)).classify(images) is None


# backbones


@pytest.mark.parametrize("name", ["resnet9", "mlp"])
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_new_backbones_keep_the_contract(name, size, channels):
    backbone = make_backbone(BackboneConfig(name=name, latent_dim=24), size, channels).eval()
    info = backbone.info
    features = backbone(torch.randn(2, channels, size, size))
    assert features.embedding.shape == (2, info.dim) == (2, 24)
    assert features.spatial.shape == (2, info.width, *info.grid)
    assert (info.name, info.embedding, info.image_size, info.channels) == (name, "latent", size, channels)


def test_resnet9_is_the_usual_one():
    backbone = make_backbone(BackboneConfig(name="resnet9", embedding="mean"), 32, 3)
    pairs = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]
    expected = sum(9 * before * after + 2 * after for before, after in pairs)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected == 6_568_000
    assert (backbone.info.dim, backbone.info.grid) == (512, (4, 4))
    with pytest.raises(UserError, match="'resnet9' halves an image three times: 7 px are too few"):
        make_backbone(BackboneConfig(name="resnet9"), 7, 3)


def test_mlp_is_four_linear_layers_and_nothing_goes_past_its_embedding():
    torch.manual_seed(0)
    backbone = make_backbone(BackboneConfig(name="mlp", latent_dim=5), 6, 2)
    images = torch.randn(3, 2, 6, 6)
    hidden = images.flatten(1).double().numpy()
    linear = [module for module in backbone.modules() if isinstance(module, torch.nn.Linear)]
    assert len(linear) == 4
    for index, layer in enumerate(linear):
        hidden = hidden @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
        hidden = hidden.clip(0) if index < 3 else hidden
    features = backbone(images)
    np.testing.assert_allclose(features.embedding.detach().numpy(), hidden, atol=1e-5)
    assert torch.equal(features.spatial.flatten(1), features.embedding)
    with pytest.raises(UserError, match=r"has no places to pool: use backbone\.embedding=latent"):
        make_backbone(BackboneConfig(name="mlp", embedding="mean"), 6, 2)
    with pytest.raises(UserError, match="patch_size is for ViTs"):
        make_backbone(BackboneConfig(name="mlp", patch_size=2), 6, 2)


# the report


class Page(HTMLParser):
    """The visible text of a page, and the labels of its figures."""

    def __init__(self, text):
        super().__init__()
        self.text, self.labels = "", []
        self.feed(text)
        self.text = self.text.replace("\N{NO-BREAK SPACE}", " ")

    def handle_starttag(self, tag, attrs):
        if tag == "svg":
            self.labels.append(dict(attrs).get("aria-label") or "")

    def handle_data(self, data):
        self.text += data


def stored_run(folder, spec, seed, head, facts, epochs=3):
    """A finished, probed run as the report has it in memory."""
    config = Config.model_validate(
        {
            "objective": {"name": "supervised", "loss": "mse"},
            "dataset": {"name": "made", "subspace": spec},
            "training": {"epochs": epochs},
            "seed": seed,
        }
    )
    probe = {"linear_top1": 0.5 + head / 10, "linear_interval": [0.4, 0.7], "knn_top1": 0.3, "head_top1": head}
    dataset = {"fingerprint": f"{spec}", "chance": 0.1, **({} if facts is None else {"subspace": facts})}
    record = {"id": identity(config), "status": "finished", "dataset": dataset}
    (folder / "config.yaml").write_text(to_yaml(config))
    return Run(RunDirectory(folder), record, config, {"probe": probe}, None, None, False)


FACTS = {
    "top(share=0.9)": {"nominal": 0.9, "variance": 0.8993, "components": 67, "of": 3072},
    "top(share=0.7)": {"nominal": 0.7, "variance": 0.6672, "components": 5, "of": 3072},
    "bottom(share=0.2)": {"nominal": 0.2, "variance": 0.2071, "components": 3054, "of": 3072},
    "bottom(share=0.8)": {"nominal": 0.8, "variance": 0.8113, "components": 3071, "of": 3072},
    "top(components=0.5)": {"nominal": None, "variance": 0.999543, "components": 1536, "of": 3072},
    "bottom(components=0.5)": {"nominal": None, "variance": 0.000457, "components": 1536, "of": 3072},
    "random(like=top(share=0.9))": {"nominal": None, "variance": 0.0226, "components": 67, "of": 3072},
}


def parts_of(folder, heads, epochs=3):
    runs = [
        stored_run(folder, spec, seed, head, FACTS.get(spec), epochs)
        for spec, values in heads.items()
        for seed, head in enumerate(values)
    ]
    return list(subspace_parts(make_blocks(runs)[0]))


def test_points_are_sorted_by_side_and_share_with_controls_last(tmp_path):
    heads = {
        "bottom(components=0.5)": [0.2],
        "top(share=0.9)": [0.44, 0.46],
        "bottom(share=0.2)": [0.55, 0.57],
        "top(components=0.5)": [0.5],
        "random(like=top(share=0.9))": [0.3],
        None: [0.6],
        "top(share=0.7)": [0.25],
    }
    (part,) = parts_of(tmp_path, heads)
    assert part.accuracy == HEAD
    rows = [[cell.text for cell in row.cells] for row in part.table.rows]
    assert [row[0] for row in rows] == [
        "all pixels",
        "top(share=0.7)",
        "top(share=0.9)",
        "top(components=0.5)",
        "bottom(share=0.2)",
        "bottom(components=0.5)",
        "random(like=top(share=0.9))",
    ]
    dash = "\N{EN DASH}"
    assert rows[0][1:7] == [dash, "100", dash, "60.0", "56.0", "1"]
    assert rows[2][1:7] == ["90", "89.93", "67", "45.0 ± 1.4", "54.5 ± 0.1", "2"]
    assert rows[5][1:4] == [dash, "0.0457", "1,536"]
    assert [row.reference for row in part.table.rows] == [False, False, False, True, False, True, True]
    assert part.findings[0] == (
        "Less variance can tell more (own classifier): 56.0 % on bottom(share=0.2), with 20.71 % of the variance, "
        "against 25.0 % on top(share=0.7), with 66.72 % of the variance."
    ), "45.0 % on top(share=0.9) is less too, but seeds do not tell the two apart"
    assert "Of 67 dimensions each: top(share=0.9) 45.0 %, random(like=top(share=0.9)) 30.0 %." in part.findings
    assert "Of 1,536 dimensions each: top(components=0.5) 50.0 %, bottom(components=0.5) 20.0 %." in part.findings
    assert "one seed" in part.findings[-1]


def test_what_is_not_renormalised_is_a_control(tmp_path, monkeypatch):
    ablation = "top(share=0.9, renormalise=False)"
    monkeypatch.setitem(FACTS, ablation, FACTS["top(share=0.9)"])
    (part,) = parts_of(tmp_path, {"top(share=0.9)": [0.6], ablation: [0.5], "random(like=top(share=0.9))": [0.2]})
    assert [point.control for point in part.points] == [False, True, True]


@pytest.mark.parametrize(
    "heads",
    [
        {"top(share=0.9)": [0.6, 0.6], "bottom(share=0.2)": [0.5, 0.5]},
        # Better, but of more variance.
        {"top(share=0.7)": [0.3, 0.3], "bottom(share=0.8)": [0.5, 0.5]},
    ],
)
def test_findings_do_not_claim_what_is_not_there(tmp_path, heads):
    (part,) = parts_of(tmp_path, heads)
    assert part.findings == (
        "No bottom subspace here does better than a top subspace that holds more of the variance.",
    )


def test_without_a_head_the_linear_probe_is_shown(tmp_path):
    runs = [stored_run(tmp_path, spec, 0, 0.5, FACTS.get(spec)) for spec in (None, "top(share=0.9)")]
    for run in runs:
        run.summary["probe"]["head_top1"] = None
    (part,) = subspace_parts(make_blocks(runs)[0])
    assert part.accuracy == PROBE
    assert HEAD not in [cell.text for cell in part.table.columns]
    assert len(part.known) == 2


def test_a_part_needs_two_subspaces_and_equal_settings(tmp_path):
    assert parts_of(tmp_path, {"top(share=0.9)": [0.4, 0.5]}) == []
    assert parts_of(tmp_path, {None: [0.4, 0.5]}) == []
    runs = [
        stored_run(tmp_path, spec, 0, 0.5, FACTS.get(spec), epochs)
        for spec, epochs in ((None, 3), ("top(share=0.9)", 3), (None, 4), ("top(share=0.7)", 4))
    ]
    parts = list(subspace_parts(make_blocks(runs)[0]))
    assert [[point.name for point in part.points] for part in parts] == [
        ["all pixels", "top(share=0.9)"],
        ["all pixels", "top(share=0.7)"],
    ]
    assert len({part.title for part in parts}) == 2


# end to end, on images whose truth is known

WORDS = [
    "objective=supervised",
    "objective.loss=mse",
    "dataset=spectral",
    "dataset.classes=2",
    "dataset.size=12",
    "dataset.samples=800",
    "dataset.test_samples=300",
    "dataset.share=0.1",
    "dataset.band=[0.25,0.45]",
    "dataset.subspace=[null, top(share=0.8), bottom(share=0.2)]",
    "views.recipe=none",
    "backbone.latent_dim=8",
    "training.epochs=4",
    "training.batch_size=64",
    "training.learning_rate=3e-3",
    "training.snapshots=3",
    "analysis.fit_samples=100",
    "analysis.test_samples=50",
    "analysis.bands=3",
    "analysis.snapshot=last",
    "evaluation.learning_rates=[0.1]",
    "evaluation.probe_epochs=5",
]


def test_bottom_beats_top_where_the_class_is_in_a_band_of_small_variance(tmp_path):
    summary = compare({**load_config(None, WORDS), "baselines": []}, tmp_path)
    rows = {row["settings"]["dataset.subspace"]: row for row in summary["runs"]}
    assert [row["status"] for row in rows.values()] == ["finished"] * 3
    top, bottom = rows["top(share=0.8)"]["probe"], rows["bottom(share=0.2)"]["probe"]
    assert bottom["linear_top1"] > top["linear_top1"] + 0.15
    assert bottom["linear_top1"] > 0.65
    assert bottom["head_top1"] > top["head_top1"] + 0.15
    record = json.loads((tmp_path / "runs" / rows["bottom(share=0.2)"]["directory"] / "run.json").read_text())
    facts = record["dataset"]["subspace"]
    assert facts["nominal"] == 0.2
    assert 0.2 < facts["variance"] < 0.22
    page = Page((tmp_path / "report.html").read_text())
    for text in ("PCA subspaces", "Less variance can tell more", f"of {facts['of']}", "top(share=0.8)"):
        assert text in page.text
    assert any(
        label.startswith("Accuracy of the own classifier against the share of variance") for label in page.labels
    )
    markdown = (tmp_path / "report.md").read_text()
    assert "## PCA subspaces" in markdown
    assert "bottom(share=0.2)" in markdown
    assert markdown.startswith("# Comparison on PCA subspaces of spectral\n")
    with (tmp_path / "report.csv").open(newline="") as handle:
        lines = {line["subspace"]: line for line in csv.DictReader(handle)}
    assert float(lines["bottom(share=0.2)"]["subspace_variance"]) == facts["variance"]
    assert float(lines["top(share=0.8)"]["head_top1"]) == top["head_top1"]
    assert lines[""]["subspace_components"] == ""
