"""Encoders from elsewhere: preprocessing, feature points, callables, what is untrained."""

import subprocess
import sys

import pytest
import timm
import torch
from encoder_cases import (
    DATA,
    HALF,
    IMAGENET,
    assert_same,
    features,
    library_pixels,
    lightning,
    make_data,
    opened,
    save,
    scramble,
    with_prefix,
)
from timm.data import resolve_model_data_config
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from ssl_bench.data.images import ImageData, Split
from ssl_bench.encoders import is_encoder
from ssl_bench.encoders.encoder import Encoder
from ssl_bench.errors import UserError


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("target", "network"), [("timm:test_efficientnet", "test_efficientnet"), ("timm:test_resnet", "test_resnet")]
)
def test_timms_own_configuration(target, network):
    own = resolve_model_data_config(timm.create_model(network))
    encoder = opened(target).read.__self__
    expected = library_pixels(DATA, 160, own["mean"], own["std"], own["interpolation"])
    torch.testing.assert_close(encoder.prepare(DATA.standardised(DATA.test.images)), expected, rtol=0, atol=2e-5)


def test_torchvisions_own_transforms_but_for_the_crop():
    own = models.ResNet18_Weights.DEFAULT.transforms()
    own.resize_size = own.crop_size  # the whole image
    encoder = opened("torchvision:resnet18").read.__self__
    pixels = encoder.prepare(DATA.standardised(DATA.test.images))
    torch.testing.assert_close(pixels, own(DATA.test.images.float() / 255), rtol=0, atol=2e-5)


def test_the_pil_pipeline_of_timm_differs_by_its_rounding_to_bytes():
    pipeline = timm.data.create_transform((3, 160, 160), interpolation="bicubic", crop_pct=1.0, **HALF)
    expected = torch.stack([pipeline(v2.functional.to_pil_image(image)) for image in DATA.test.images])
    pixels = opened("timm:test_vit").read.__self__.prepare(DATA.standardised(DATA.test.images))
    grey_level = (1 / 255) / 0.5
    difference = (pixels.clamp(-1, 1) - expected).abs()  # PIL rounds and clips after each of the two directions
    assert difference.mean() < 0.5 * grey_level
    assert difference.max() < 3 * grey_level


def test_altered_images_are_not_clipped():
    prepare = opened("timm:test_vit").read.__self__.prepare
    images = DATA.standardised(DATA.test.images)
    assert prepare(images + 50).min() > 1
    torch.testing.assert_close(prepare(images + 50) + prepare(images - 50), 2 * prepare(images), rtol=0, atol=1e-4)


def test_grey_images_are_repeated():
    data = make_data(channels=1)
    subject = opened("timm:test_efficientnet", data)
    network = subject.read.__self__.network
    colour = ImageData("colour", data.train, Split(data.test.images.repeat(1, 3, 1, 1), data.test.labels), 2)
    assert_same(subject, network, library_pixels(colour, 160, **IMAGENET), data)
    assert "grey repeated to 3 channels" in subject.transform


def test_given_preprocessing_takes_the_place_of_the_encoders_own():
    subject = opened("timm:test_efficientnet", image_size=64, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    pixels = library_pixels(DATA, 64, (0.1, 0.2, 0.3), (1, 2, 3))
    assert_same(subject, subject.read.__self__.network, pixels)
    assert subject.transform == (
        "standardisation undone, not clipped; whole image bicubic to 64 x 64, antialiased; "
        "minus (0.1, 0.2, 0.3); divided by (1, 2, 3)"
    )


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("timm:test_vit", {"mean": (0.5,)}, "mean has 1 numbers; timm:test_vit takes 3 channels"),
        ("timm:test_vit", {"std": (1.0, 1.0)}, "std has 2 numbers"),
        ("timm:test_vit", {"image_size": 30}, "patches of 16 px"),
        ("torchvision:vit_b_32", {"image_size": 30}, "cannot be built for images of 30 px"),
        ("torchvision:squeezenet1_1", {"image_size": 8}, "cannot take images of 8 x 8 px"),
        ("timm:test_vitt", {}, "did you mean 'test_vit'"),
        ("timm:hf-hub:someone/thing", {}, "unknown timm model"),
        ("timm:resnet18.nonsense", {}, "Invalid pretrained tag"),
        ("torchvision:resnet81", {}, "did you mean 'resnet18'"),
        ("torchvision:fcos_resnet50_fpn", {}, "unknown torchvision model"),
    ],
)
def test_what_cannot_be(target, settings, message):
    with pytest.raises(UserError) as error:
        opened(target, **settings)
    assert message in str(error.value)


def test_images_of_two_channels_fit_no_encoder_of_three():
    with pytest.raises(UserError, match="takes 3 channels; the images of smooth have 2"):
        opened("timm:test_vit", make_data(channels=2))


def test_points_of_a_vit():
    subject = opened("timm:test_vit", image_size=32)
    network, pixels = subject.read.__self__.network, library_pixels(DATA, 32, **HALF)
    close = {"rtol": 1e-4, "atol": 1e-4}
    tokens = network.forward_features(pixels)
    torch.testing.assert_close(features(subject), network(pixels), **close)
    torch.testing.assert_close(features(subject, pool="tokens"), tokens, **close)
    torch.testing.assert_close(features(subject, pool="cls"), tokens[:, 0], **close)
    torch.testing.assert_close(features(subject, pool="mean"), tokens[:, 1:].mean(1), **close)
    blocks = network.forward_intermediates(pixels, intermediates_only=True, return_prefix_tokens=True, output_fmt="NLC")
    assert len(blocks) == 6
    for layer, (patches, others) in enumerate(blocks, start=1):
        torch.testing.assert_close(features(subject, layer=layer), patches.mean(1), **close)
        torch.testing.assert_close(features(subject, pool="cls", layer=layer), others[:, 0], **close)
        both = torch.cat([others, patches], 1)
        torch.testing.assert_close(features(subject, pool="tokens", layer=layer), both, **close)
    with pytest.raises(UserError, match="layer=7: timm:test_vit has blocks 1 to 6"):
        features(subject, layer=7)


@pytest.mark.parametrize("name", ["test_resnet", "test_mambaout"])
def test_points_of_a_cnn(name):
    subject = opened(f"timm:{name}", image_size=64)
    network = subject.read.__self__.network
    pixels = subject.read.__self__.prepare(DATA.standardised(DATA.test.images))
    last = network.forward_features(pixels)
    last = last.permute(0, 3, 1, 2) if name == "test_mambaout" else last
    torch.testing.assert_close(features(subject, pool="mean"), last.mean((2, 3)))
    torch.testing.assert_close(features(subject, pool="tokens"), last.flatten(2).mT)
    for layer, stage in enumerate(network.forward_intermediates(pixels, intermediates_only=True), start=1):
        torch.testing.assert_close(features(subject, layer=layer), stage.mean((2, 3)))
    with pytest.raises(UserError, match="no class token"):
        features(subject, pool="cls")


def test_a_register_is_no_class_token():
    with pytest.raises(UserError, match="no class token"):
        features(opened("timm:test_vit2"), pool="cls")


def test_points_of_torchvision_resnet():
    subject = opened("torchvision:resnet18", image_size=32)
    encoder = subject.read.__self__
    network, x = encoder.network, encoder.prepare(DATA.standardised(DATA.test.images))
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    for layer in range(1, 5):
        x = getattr(network, f"layer{layer}")(x)
        torch.testing.assert_close(features(subject, layer=layer), x.mean((2, 3)))
        torch.testing.assert_close(features(subject, pool="tokens", layer=layer), x.flatten(2).mT)
    torch.testing.assert_close(features(subject, pool="mean"), features(subject))
    assert all(not part._forward_hooks for part in network.modules())


def test_points_of_features_in_sequence_where_activations_work_in_place():
    subject = opened("torchvision:squeezenet1_1", image_size=64)
    encoder = subject.read.__self__
    pixels = encoder.prepare(DATA.standardised(DATA.test.images))
    for layer in (1, 2, len(encoder.network.features)):
        expected = encoder.network.features[:1](pixels) if layer == 1 else encoder.network.features[:layer](pixels)
        torch.testing.assert_close(features(subject, layer=layer), expected.mean((2, 3)))
    assert features(subject, layer=1).min() < 0


def test_points_of_torchvision_vit():
    subject = opened("torchvision:vit_b_32", image_size=32)
    encoder = subject.read.__self__
    network, pixels = encoder.network, encoder.prepare(DATA.standardised(DATA.test.images))
    x = torch.cat([network.class_token.expand(len(pixels), -1, -1), network._process_input(pixels)], dim=1)
    x = x + network.encoder.pos_embedding
    after_one = network.encoder.layers[0](x)
    torch.testing.assert_close(features(subject, pool="tokens", layer=1), after_one)
    torch.testing.assert_close(features(subject, layer=1), after_one[:, 1:].mean(1))
    end = network.encoder.ln(network.encoder.layers(x))
    torch.testing.assert_close(features(subject, pool="cls"), end[:, 0])
    torch.testing.assert_close(features(subject), end[:, 0])


def test_swin_of_torchvision_has_its_channels_last():
    subject = opened("torchvision:swin_t", image_size=64)
    torch.testing.assert_close(features(subject, pool="mean"), features(subject), rtol=1e-4, atol=1e-5)
    assert features(subject, layer=1).shape == (5, 96)


def test_a_network_without_known_parts_has_its_embedding_only():
    subject = opened("torchvision:shufflenet_v2_x0_5", image_size=64)
    assert features(subject).shape == (5, 1024)
    with pytest.raises(UserError, match="no blocks to read from"):
        features(subject, layer=1)
    with pytest.raises(UserError, match="no map or tokens"):
        features(subject, pool="mean")


def test_large_images_go_through_in_parts(monkeypatch):
    subject = opened("timm:test_vit")
    at_once = features(subject)
    monkeypatch.setattr("ssl_bench.encoders.encoder.PIXELS", 2 * 160 * 160)
    torch.testing.assert_close(features(subject), at_once)


@pytest.mark.parametrize("target", ["timm:test_efficientnet", "torchvision:resnet18"])
def test_an_untrained_encoder_is_the_same_every_time(target):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one = opened(target, image_size=32)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(2)
    other = opened(target, image_size=32)
    assert one.weights == other.weights
    assert torch.equal(features(one), features(other))
    assert not one.trained
    assert one.details["weights_file"] is None


def test_the_hash_is_of_the_weights_and_the_architecture(tmp_path):
    network = scramble(models.resnet18())
    files = [save(tmp_path, network.state_dict(), f"{name}.pth") for name in ("one", "same")]
    network.bn1.weight.data[0] += 1e-3
    files.append(save(tmp_path, network.state_dict(), "other.pth"))
    one, same, other = (opened("timm:resnet18", weights=file, image_size=32).weights for file in files)
    assert one == same != other
    assert opened("torchvision:resnet18", weights=files[0], image_size=32).weights != one


def test_a_trainable_copy_leaves_the_frozen_one_alone():
    subject = opened("timm:test_efficientnet", image_size=32)
    before = features(subject)
    assert not before.requires_grad
    images = DATA.standardised(DATA.test.images)
    copy = subject.trainable()
    torch.testing.assert_close(copy.eval()(images), before)
    optimizer = torch.optim.SGD(copy.train().parameters(), lr=0.1)
    copy(images).square().mean().backward()
    optimizer.step()
    assert not torch.allclose(copy.eval()(images), before)
    assert torch.equal(features(subject), before)
    torch.testing.assert_close(subject.trainable().eval()(images), before)


def test_images_may_be_differentiated():
    images = DATA.standardised(DATA.test.images).requires_grad_(True)
    opened("timm:test_vit", image_size=32).encode(images)[:, 0].sum().backward()
    assert images.grad.abs().max() > 0


# --- module:callable ----------------------------------------------------------------------------------------------

OWN = """
import torch
from torch import nn

def embeds():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def maps():
    return nn.Conv2d(3, 4, 3)

def tokens():
    return lambda images: images.flatten(2).mT

def untrained():
    made = embeds()
    made.trained = False
    return made

def thumbnail():
    return lambda images: nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)

def raises():
    raise KeyError("no such\\nthing")

def fails_later():
    def run(images):
        return images @ torch.zeros(3)
    return run

def tuples():
    return lambda images: (images, images)

def nothing():
    return None

value = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of one's own in the current directory."""
    name = f"own_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    sys.modules.pop(name, None)


def test_a_callable_gets_images_in_0_to_1(own):
    subject = opened(f"{own}:thumbnail")
    expected = nn.functional.adaptive_avg_pool2d(DATA.test.images.float() / 255, 2).flatten(1)
    torch.testing.assert_close(features(subject), expected, rtol=0, atol=1e-6)
    assert subject.trained
    assert subject.trainable is None
    assert subject.transform == "standardisation undone, not clipped"
    sized = opened(f"{own}:thumbnail", image_size=16, mean=HALF["mean"], std=HALF["std"])
    pixels = library_pixels(DATA, 16, **HALF)
    assert_same(sized, lambda x: nn.functional.adaptive_avg_pool2d(x, 2), pixels)


def test_tokens_and_maps_are_averaged(own):
    images = DATA.test.images.float() / 255
    subject = opened(f"{own}:tokens")
    torch.testing.assert_close(features(subject), images.mean((2, 3)), rtol=0, atol=1e-6)
    torch.testing.assert_close(features(subject, pool="tokens"), images.flatten(2).mT, rtol=0, atol=1e-6)
    assert subject.transform.endswith("the embedding is the mean of the tokens")
    subject = opened(f"{own}:maps")
    expected = subject.read.__self__.network(images)
    torch.testing.assert_close(features(subject), expected.mean((2, 3)))
    assert subject.transform.endswith("the embedding is the mean of the map")
    for point in ({"layer": 1}, {"pool": "cls"}):
        with pytest.raises(UserError, match=r"no blocks|no class token"):
            features(subject, **point)
    with pytest.raises(UserError, match="gives embeddings, no map"):
        features(opened(f"{own}:embeds"), pool="mean")


def test_weights_of_a_callable(own, tmp_path):
    assert opened(f"{own}:untrained").trained is False
    assert opened(f"{own}:embeds").trained is True
    network = scramble(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    file = save(tmp_path, lightning(with_prefix("net.", network)))
    subject = opened(f"{own}:untrained", weights=file)
    assert subject.trained
    assert subject.details["prefix"] == "net."
    assert_same(subject, network, DATA.test.images.float() / 255)
    assert subject.trainable is not None
    with pytest.raises(UserError, match="leave weights out"):
        opened(f"{own}:thumbnail", weights=file)


def test_a_grey_image_is_repeated_where_the_first_convolution_takes_three(own):
    assert features(opened(f"{own}:embeds", make_data(1)), make_data(1)).shape == (5, 4)
    with pytest.raises(UserError, match="takes 3 channels"):
        opened(f"{own}:embeds", make_data(2))


def test_code_that_changed_has_another_hash(own, tmp_path):
    before = opened(f"{own}:thumbnail").weights
    assert opened(f"{own}:thumbnail").weights == before
    sys.modules.pop(own)
    (tmp_path / f"{own}.py").write_text(OWN.replace("adaptive_avg_pool2d", "adaptive_max_pool2d"))
    for cached in (tmp_path / "__pycache__").glob("*"):
        cached.unlink()
    assert opened(f"{own}:thumbnail").weights != before


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("raises", "raises failed: KeyError: 'no such\\\\nthing'"),
        ("fails_later", "fails_later failed: RuntimeError"),
        ("tuples", r"made tuple of images \(1, 3, 32, 32\)"),
        ("nothing", "returned NoneType"),
        ("value", "has no callable 'value'"),
        ("embed", "did you mean 'embeds'"),
    ],
)
def test_mistakes_in_code_of_ones_own_are_one_line(own, attribute, message):
    with pytest.raises(UserError, match=message) as error:
        opened(f"{own}:{attribute}")
    assert own in str(error.value)


def test_a_module_that_is_not_there_or_does_not_import(own, tmp_path):
    with pytest.raises(UserError, match="there is no module 'no_such_module' here"):
        opened("no_such_module:build")
    (tmp_path / "broken_import.py").write_text("import no_such_dependency")
    with pytest.raises(UserError, match=r"broken_import:build failed: ModuleNotFoundError.*no_such_dependency"):
        opened("broken_import:build")


def test_what_is_an_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timm:resnet18").mkdir()
    assert not is_encoder("timm:resnet18")
    for target in ("timm:test_vit", "torchvision:resnet18", "my_encoders:build", "a.b.c:build", "timm:hf-hub:x/y"):
        assert is_encoder(target)
    for target in ("runs/one", "resnet18", "C:\\runs", "a:b/c", "2fast:build", "runs/a:b", ""):
        assert not is_encoder(target)


def test_asking_whether_a_target_is_an_encoder_imports_no_torch():
    code = "import sys, ssl_bench.encoders as e; e.is_encoder('timm:x'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_encoder_is_frozen():
    encoder = opened("timm:test_vit", image_size=32).read.__self__
    assert isinstance(encoder, Encoder)
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
