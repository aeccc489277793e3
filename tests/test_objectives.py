import math

import pytest
import torch
from lightly.loss import NTXentLoss
from test_no_waiting import CUDA, OnDevice, Watch
from torch._subclasses.fake_tensor import FakeTensorMode

from ssl_bench.backbones import make_backbone
from ssl_bench.config import BackboneConfig, ObjectiveConfig, section_options
from ssl_bench.errors import UserError
from ssl_bench.noise import make_noise
from ssl_bench.objectives import OBJECTIVES
from ssl_bench.objectives.base import Batch, Given
from ssl_bench.objectives.simclr import nt_xent
from ssl_bench.objectives.supervised import supervised_loss

TRAINED = [name for name in OBJECTIVES if OBJECTIVES.get(name).trains]


def build(name, backbone="vit_micro", size=16, channels=2, **options):
    torch.manual_seed(0)
    chosen = OBJECTIVES.get(name)
    made = make_backbone(BackboneConfig(name=chosen.fixed_backbone or backbone, latent_dim=16), size, channels)
    noise = make_noise(chosen.default_noise) if chosen.default_noise else None
    settings = section_options(ObjectiveConfig(name=name, **options), chosen.options_model, "objective")
    return chosen.build(made, settings, Given(3, noise))


def make_batch(objective, count=6, size=16, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(objective.views.count, count, channels, size, size, generator=generator)
    return Batch(views, torch.arange(count) % 3)


def step(objective, batch, seed=0):
    return objective.step(batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", TRAINED)
def test_contract_every_trained_objective(name):
    objective = build(name)
    batch = make_batch(objective)
    output = step(objective, batch)
    assert output.loss.dim() == 0
    assert torch.isfinite(output.loss)
    assert step(objective, batch).loss == output.loss, "the generator is the only source of chance"
    output.loss.backward()
    used = [p for p in objective.backbone.parameters() if p.requires_grad]
    touched = sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in used)
    assert touched >= len(used) - 2, "the loss reaches the backbone"
    images = batch.views[0]
    made = objective.reconstruct(images)
    assert made is None or made.shape == images.shape


@pytest.mark.parametrize("name", TRAINED)
def test_every_trained_objective_lowers_its_loss(name):
    objective = build(name)
    batch = make_batch(objective)
    optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for seed in range(30):
        loss = step(objective, batch, seed).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


def test_autoencoder_loss_is_the_mean_squared_error():
    objective = build("autoencoder", "resnet_micro")
    batch = make_batch(objective)
    expected = (objective.reconstruct(batch.views[0]).double() - batch.views[0].double()).pow(2).mean()
    assert float(step(objective, batch).loss.detach()) == pytest.approx(float(expected), rel=1e-5)


def test_guided_is_an_autoencoder_plus_a_weighted_cross_entropy():
    plain, guided = build("autoencoder", "resnet_micro"), build("guided", "resnet_micro", guidance=0.25)
    for name, weights in plain.state_dict().items():
        assert torch.equal(weights, guided.state_dict()[name]), "both start from the same weights"
    batch = make_batch(guided)
    scores = guided.classify(batch.views[0]).double()
    told = -scores.log_softmax(1)[torch.arange(len(scores)), batch.labels].mean()
    error = (guided.reconstruct(batch.views[0]).double() - batch.views[0].double()).square().mean()
    output = step(guided, batch)
    assert float(output.loss.detach()) == pytest.approx(float((error + 0.25 * told).detach()), rel=1e-5)
    assert float(output.metrics["reconstruction_error"]) == pytest.approx(float(error.detach()), rel=1e-5)


def test_denoising_noises_the_input_and_not_the_target():
    objective = build("denoising", "resnet_micro")
    batch = make_batch(objective)
    noisy = objective.noise.sample(batch.views[0], torch.Generator().manual_seed(5))
    expected = (objective.reconstruct(noisy) - batch.views[0]).square().mean()
    assert float(step(objective, batch, seed=5).loss) == pytest.approx(float(expected), rel=1e-5)


def test_mae_counts_hidden_patches_only_and_sees_visible_ones_only():
    objective = build("mae", ratio=0.5)
    batch = make_batch(objective, count=1)
    order = torch.rand(1, objective.patches, generator=torch.Generator().manual_seed(3)).argsort(1)
    keep, hidden = order[:, : objective.visible], order[:, objective.visible :]
    # A slow transcription: predict, cut patches by hand, average the squared error of the hidden ones.
    predicted = objective.predict(batch.views[0], keep)
    side, patch = 16 // objective.patch, objective.patch
    errors = []
    for index in hidden[0].tolist():
        row, column = divmod(index, side)
        cut = batch.views[0][0, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        guess = predicted[0, index].view(patch, patch, 2).permute(2, 0, 1)
        errors.append((guess - cut).square().mean())
    assert float(step(objective, batch, seed=3).loss) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-5)
    spoiled = batch.views[0].clone()
    index = int(hidden[0, 0])
    row, column = divmod(index, side)
    spoiled[..., row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 50.0
    assert torch.equal(objective.predict(spoiled, keep), predicted)


def test_mae_normalised_targets_have_mean_zero_and_deviation_one():
    objective = build("mae", normalise=True)
    target = objective.asked(torch.randn(2, 2, 16, 16) * 3 + 1)
    assert torch.allclose(target.mean(-1), torch.zeros(2, 64), atol=1e-5)
    assert torch.allclose(target.var(-1), torch.ones(2, 64), atol=1e-3)
    assert objective.reconstruct(torch.randn(2, 2, 16, 16)) is None


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75, 0.9])
def test_mae_reconstruction_never_copies_a_visible_patch(ratio):
    """Each patch of the reconstruction comes from a prediction made while it was hidden: it cannot depend on itself."""
    objective = build("mae", ratio=ratio).eval()
    images = torch.randn(1, 2, 16, 16, requires_grad=True)
    made = objective.reconstruct(images)
    assert torch.isfinite(made).all()
    patch = objective.patch
    made[..., :patch, :patch].sum().backward()
    assert images.grad[..., :patch, :patch].abs().max() == 0
    assert images.grad.abs().max() > 0


def test_simclr_loss_equals_a_slow_nt_xent():
    objective = build("simclr", temperature=0.3).eval()
    batch = make_batch(objective, count=4)
    z = torch.nn.functional.normalize(
        objective.head(objective.backbone(batch.views.flatten(0, 1)).embedding), dim=1
    ).double()
    total = 0.0
    for i in range(8):
        positive = (i + 4) % 8
        others = [math.exp(float(z[i] @ z[j]) / 0.3) for j in range(8) if j != i]
        total -= math.log(math.exp(float(z[i] @ z[positive]) / 0.3) / sum(others))
    assert float(step(objective, batch).loss) == pytest.approx(total / 8, rel=1e-5)


@pytest.mark.parametrize("count", [2, 5, 64])
def test_nt_xent_is_lightlys_to_the_bit(count):
    first, second = torch.randn(2, count, 32, generator=torch.Generator().manual_seed(count)).requires_grad_().unbind()
    ours, theirs = nt_xent(first, second, 0.3), NTXentLoss(0.3)(first, second)
    assert torch.equal(ours, theirs)
    one, other = (torch.autograd.grad(loss, (first, second)) for loss in (ours, theirs))
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_nt_xent_is_float32_whatever_autocast_says():
    first, second = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0)).bfloat16().unbind()
    expected = nt_xent(first.float(), second.float(), 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nt_xent(first, second, 0.1), expected)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("backbone", ["vit_micro", "resnet_micro"])
def test_a_step_waits_for_nothing(name, backbone):
    """On an accelerator that is none: its tensors have no values, and say where they are."""
    if (name, backbone) == ("mae", "resnet_micro"):
        return
    objective = build(name, backbone)
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in objective.modules():
            for entries in (module._parameters, module._buffers):
                there = {key: value for key, value in entries.items() if value is not None}
                entries |= {key: torch.empty_like(value, device=CUDA) for key, value in there.items()}
        batch = make_batch(objective)
        batch = Batch(batch.views.to(CUDA), batch.labels.to(CUDA))
        with Watch():
            assert objective.step(batch, OnDevice()).loss.device == CUDA


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_supervised_losses_wait_for_nothing(loss):
    scores, labels = torch.randn(6, 3), torch.arange(6) % 3
    expected = {
        "cross_entropy": torch.nn.functional.cross_entropy(scores, labels),
        "mse": torch.nn.functional.mse_loss(scores, torch.nn.functional.one_hot(labels, 3).float()),
    }[loss]
    with Watch():
        made = supervised_loss(scores, labels, loss)
    assert torch.equal(made, expected)


def test_only_a_supervised_objective_reads_labels():
    for name in TRAINED:
        objective = build(name)
        batch = make_batch(objective)
        other = Batch(batch.views, (batch.labels + 1) % 3)
        same = step(objective, batch).loss == step(objective, other).loss
        assert bool(same) == (name not in ("supervised", "guided")), name


def test_mae_says_what_it_cannot_train_and_what_to_use():
    mae = OBJECTIVES.get("mae")
    cnn = make_backbone(BackboneConfig(name="resnet_micro"), 32, 3).info
    latent = make_backbone(BackboneConfig(name="vit_micro", embedding="latent"), 32, 3).info
    assert "use a ViT" in mae.unsupported(cnn)
    assert "mask(ratio=0.75" in mae.unsupported(cnn)
    assert "backbone.embedding=mean" in mae.unsupported(latent)
    assert mae.unsupported(make_backbone(BackboneConfig(name="vit_micro"), 32, 3).info) is None


def test_unknown_option_gets_the_nearest():
    with pytest.raises(UserError, match=r"'objective.temprature'; did you mean 'temperature'"):
        build("simclr", temprature=0.1)


class Doubled:
    """A target that is twice the image, for the arithmetic."""

    def ask(self, images):
        return 2 * images

    def undo(self, made):
        return made / 2


@pytest.mark.parametrize("name", ["autoencoder", "denoising", "mae"])
def test_a_target_changes_the_loss_and_is_undone_in_reconstructions(name):
    objective = build(name).eval()
    batch = make_batch(objective)
    plain, made = float(step(objective, batch).loss.detach()), objective.reconstruct(batch.views[0])
    objective.target = Doubled()
    asked = step(objective, batch).loss
    assert torch.allclose(objective.reconstruct(batch.views[0]), made / 2, atol=1e-6)
    objective.target = None
    doubled = Batch(2 * batch.views, batch.labels)
    assert plain != pytest.approx(float(asked.detach()))
    if name == "autoencoder":
        expected = (made - doubled.views[0]).square().mean()
        assert torch.allclose(asked, expected)
