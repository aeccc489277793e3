"""Encoders from elsewhere: public formats give their source's features, misfits are said, preprocessing is right."""

import argparse
import functools
import subprocess
import sys

import pytest
import timm
import torch
from lightly.models import ResNetGenerator
from lightly.models.modules import MaskedVisionTransformerTIMM, SimCLRProjectionHead
from safetensors.torch import save_file
from timm.data import resolve_model_data_config
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.encoders import is_encoder, open_encoder
from ssl_bench.encoders.encoder import Encoder
from ssl_bench.encoders.matching import match_state
from ssl_bench.encoders.weights import load_state
from ssl_bench.errors import UserError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
VIT = {"img_size": 32, "patch_size": 8, "num_classes": 0}


def make_data(channels=3, size=32):
    """Smooth random images: an upsampled coarse grid, so that resizing filters have something to agree on."""
    generator = torch.Generator().manual_seed(channels)

    def split(count):
        coarse = torch.rand(count, channels, 6, 6, generator=generator)
        images = nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)
        return Split((images.clamp(0, 1) * 255).round().to(torch.uint8), torch.arange(count) % 2)

    return ImageData("smooth", split(12), split(5), 2)


DATA = make_data()


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def scramble(module, seed=0):
    """Every weight and statistic moved, so that none can be mistaken for a fresh one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.mul_(1 + 0.2 * torch.rand(value.shape, generator=generator))
                value.add_(0.02 * torch.rand(value.shape, generator=generator))
    return module.eval()


def library_pixels(data, size, mean, std, interpolation="bicubic"):
    """The test images through torchvision's own transforms."""
    mode = v2.InterpolationMode(interpolation)
    pipeline = [v2.ToDtype(torch.float32, scale=True), v2.Resize([size, size], mode, antialias=True)]
    return v2.Compose([*pipeline, v2.Normalize(mean, std)])(data.test.images)


def opened(target, data=DATA, **settings):
    return open_encoder(target, EncoderConfig(**settings), data)


def features(subject, data=DATA, pool="embedding", layer=None):
    return subject.read(data.standardised(data.test.images), FeaturePoint(pool, layer))


@torch.no_grad()
def assert_same(subject, network, pixels, data=DATA):
    """Equal to the source on the library's pixels. Undoing standardisation and resizing in float32 rounds differently
    from the library's pipeline, by about 1e-6 a pixel; features agree to 1e-4 of their size."""
    expected = network(pixels).flatten(1)
    assert expected.std(0).max() > 1e-3 * expected.abs().max()  # images are told apart
    torch.testing.assert_close(features(subject, data), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def with_prefix(prefix, module):
    state = module if isinstance(module, dict) else module.state_dict()
    return {f"{prefix}{key}": value for key, value in state.items()}


def lightning(state):
    """What Lightning writes beside the weights."""
    moments = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    beside = {"epoch": 3, "global_step": 10, "pytorch-lightning_version": "2.5.0", "loops": {}, "lr_schedulers": []}
    return {"state_dict": state, "optimizer_states": [moments], "callbacks": {"best": torch.ones(1)}, **beside}


def save(tmp_path, content, name="weights.ckpt"):
    file = tmp_path / name
    if name.endswith(".safetensors"):
        save_file({key: value.contiguous() for key, value in content.items()}, file)
    else:
        torch.save(content, file)
    return str(file)


def small_resnet(padding):
    """torchvision's ResNet-18 with the stem that solo-learn (padding 2) and others give it for CIFAR."""
    network = models.resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, 1, padding, bias=False)
    network.maxpool, network.fc = nn.Identity(), nn.Identity()
    return scramble(network)


# --- public formats -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_a_plain_state_dict_with_its_classifier(tmp_path, name):
    network = scramble(models.resnet18())
    file = save(tmp_path, network.state_dict(), name)
    network.fc = nn.Identity()
    for target in ("timm:resnet18", "torchvision:resnet18"):
        subject = opened(target, weights=file, image_size=48)
        filter_name = "bicubic" if target.startswith("timm") else "bilinear"
        assert_same(subject, network, library_pixels(DATA, 48, **IMAGENET, interpolation=filter_name))
        assert subject.details["set_aside"] == {"fc": 2}
        assert subject.trained
        assert subject.details["format"] == ("safetensors" if name.endswith("safetensors") else "torch")
        assert subject.details["weights_file"] == file


@pytest.mark.parametrize("prefix", ["backbone.", "encoder."])
def test_solo_learn(tmp_path, prefix):
    network = small_resnet(padding=2)
    state = with_prefix(prefix, network) | with_prefix("classifier.", nn.Linear(512, 10))
    state |= with_prefix("projector.", nn.Sequential(nn.Linear(512, 8), nn.ReLU(), nn.Linear(8, 8)))
    state |= with_prefix("momentum_backbone.", scramble(small_resnet(2), 1)) | {"queue": torch.zeros(4, 8)}
    file = save(tmp_path, lightning(state))
    for target in ("torchvision:resnet18", "timm:resnet18"):
        subject = opened(target, weights=file)
        assert_same(subject, network, library_pixels(DATA, 32, **IMAGENET))
        assert "padding 2, no max-pool" in subject.transform
        assert subject.details["prefix"] == prefix
        assert subject.details["set_aside"]["classifier"] == 2
        assert subject.details["set_aside"]["projector"] == 4
        assert subject.details["set_aside"]["queue"] == 1
        assert subject.details["set_aside"]["momentum_backbone"] + 20 == len(network.state_dict())
        assert subject.details["input_size"] == [32, 32]


def test_a_small_stem_of_others_is_padded_by_one(tmp_path):
    network = small_resnet(padding=1)
    state = with_prefix("backbone.", network) | with_prefix("projector.", nn.Linear(512, 8))
    state |= with_prefix("callbacks_modules.probe.", nn.Linear(512, 10)) | {"sigreg.global_step": torch.tensor(3)}
    subject = opened("timm:resnet18", weights=save(tmp_path, lightning(state)))
    assert_same(subject, network, library_pixels(DATA, 32, **IMAGENET))
    assert subject.details["set_aside"] == {"projector": 2, "callbacks_modules": 2, "sigreg": 1}


def test_lightly_examples_number_the_parts_of_a_resnet(tmp_path):
    network = scramble(models.resnet18())
    backbone = nn.Sequential(*list(network.children())[:-1])
    state = with_prefix("backbone.", backbone) | with_prefix("projection_head.", SimCLRProjectionHead(512, 16, 8))
    state |= with_prefix("backbone_momentum.", scramble(nn.Sequential(*list(models.resnet18().children())[:-1]), 5))
    subject = opened("torchvision:resnet18", weights=save(tmp_path, lightning(state)), image_size=40)
    assert_same(subject, backbone, library_pixels(DATA, 40, **IMAGENET, interpolation="bilinear"))
    assert "numbered" in subject.details["names"]
    assert subject.details["prefix"] == "backbone."


@pytest.mark.parametrize("target", ["timm:resnet18", "torchvision:resnet18"])
def test_lightlys_own_resnet(tmp_path, target):
    network = scramble(ResNetGenerator("resnet-18"))
    numbered = nn.Sequential(*list(network.children())[:-1], nn.AdaptiveAvgPool2d(1))
    file = save(tmp_path, lightning(with_prefix("backbone.", numbered)))
    pixels = library_pixels(DATA, 32, **IMAGENET)
    subject = opened(target, weights=file)
    assert_same(subject, numbered, pixels)
    assert "no activation after the first norm" in subject.transform
    file = save(tmp_path, network.state_dict(), "whole.pth")
    network.linear = nn.Identity()
    subject = opened(target, weights=file)
    assert_same(subject, network, pixels)
    assert subject.details["set_aside"] == {"linear": 2}


def test_lightlys_masked_autoencoder_at_its_own_patch_and_size(tmp_path):
    vit = timm.create_model("test_vit", **VIT)
    backbone = scramble(MaskedVisionTransformerTIMM(vit=vit))
    decoder = nn.ModuleDict({"decoder_embed": nn.Linear(64, 8), "decoder_norm": nn.LayerNorm(8)})
    state = with_prefix("backbone.", backbone) | with_prefix("decoder.", decoder)
    subject = opened("timm:test_vit", weights=save(tmp_path, lightning(state)))
    assert_same(subject, backbone, library_pixels(DATA, 32, **HALF))
    assert subject.details["prefix"] == "backbone.vit."
    assert subject.details["set_aside"] == {"backbone.mask_token": 1, "decoder": 4}
    assert "patches of 8 px as in the weights" in subject.transform


def test_the_public_format_of_mae(tmp_path):
    vit = scramble(timm.create_model("test_vit", num_classes=0))
    decoder = with_prefix("decoder_blocks.", nn.Sequential(nn.Linear(8, 8))) | {"mask_token": torch.zeros(1, 1, 8)}
    file = save(tmp_path, {"model": vit.state_dict() | decoder, "optimizer": {"state": {}}, "epoch": 7}, "mae.pth")
    subject = opened("timm:test_vit", weights=file)
    assert_same(subject, vit, library_pixels(DATA, 160, **HALF))
    assert subject.details["set_aside"] == {"decoder_blocks": 2, "mask_token": 1}
    assert (subject.details["prefix"], subject.details["matched"]) == ("", len(vit.state_dict()))


def dino(student, teacher):
    head = nn.Linear(64, 8)
    both = {"student": with_prefix("module.backbone.", student) | with_prefix("module.head.", head)}
    both["teacher"] = with_prefix("backbone.", teacher) | with_prefix("head.", head)
    return both | {"dino_loss": {"center": torch.zeros(1, 8)}, "epoch": 3}


def moco(student, teacher):
    state = with_prefix("module.base_encoder.", student) | with_prefix("module.momentum_encoder.", teacher)
    return {"state_dict": state | with_prefix("module.predictor.0.", nn.Linear(4, 4)), "arch": "vit"}


def lightly_dino(student, teacher):
    return lightning(with_prefix("backbone.", teacher) | with_prefix("student_backbone.", student))


def stable_pretraining(student, teacher):
    state = with_prefix("model.backbone.student.", student) | with_prefix("model.backbone.teacher.", teacher)
    return lightning(state | {"model.backbone.ema_coefficient": torch.tensor(0.99)})


def compiled(student, teacher):
    return {"model_state_dict": with_prefix("_orig_mod.module.encoder_q.", student) | {"queue_ptr": torch.zeros(1)}}


@pytest.mark.parametrize("layout", [dino, moco, lightly_dino, stable_pretraining, compiled])
def test_the_online_encoder_goes_before_the_momentum_encoder(tmp_path, layout):
    student, teacher = (scramble(timm.create_model("test_vit", **VIT), seed) for seed in (1, 2))
    subject = opened("timm:test_vit", weights=save(tmp_path, layout(student, teacher)))
    assert_same(subject, student, library_pixels(DATA, 32, **HALF))
    assert len(subject.details["others"]) == (layout is not compiled)
    assert sum(subject.details["set_aside"].values()) >= 1


def test_a_momentum_encoder_alone_is_taken(tmp_path):
    teacher = scramble(timm.create_model("test_vit", **VIT))
    subject = opened("timm:test_vit", weights=save(tmp_path, {"teacher": with_prefix("backbone.", teacher)}))
    assert subject.details["prefix"] == "backbone."
    assert_same(subject, teacher, library_pixels(DATA, 32, **HALF))


# --- what does not fit --------------------------------------------------------------------------------------------


@functools.cache
def vit_state():
    return scramble(timm.create_model("test_vit", **VIT)).state_dict()


def altered_vit(**changes):
    """Weights of a small ViT with keys taken away (``None``) or put in."""
    state = {**vit_state(), **changes}
    return {key: value for key, value in state.items() if value is not None}


MISFITS = {
    "missing": ({"norm.weight": None}, "1 missing in the file: norm.weight"),
    "unexpected": ({"attn_pool.q.weight": torch.zeros(3)}, "1 unexpected: attn_pool.q.weight"),
    "mismatched": ({"norm.bias": torch.zeros(7)}, "norm.bias (file (7,), encoder (64,))"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_misfit_is_an_error_and_with_partial_a_record(tmp_path, kind):
    change, message = MISFITS[kind]
    file = save(tmp_path, altered_vit(**change))
    with pytest.raises(UserError, match="do not fit timm:test_vit") as error:
        opened("timm:test_vit", weights=file)
    assert message in str(error.value)
    assert "partial=true" in str(error.value)
    subject = opened("timm:test_vit", weights=file, partial=True)
    (listed,) = subject.details[kind]
    assert listed.startswith(next(iter(change)))
    assert all(subject.details[other] == [] for other in MISFITS if other != kind)
    whole = opened("timm:test_vit", weights=save(tmp_path, altered_vit(), "whole.pth"))
    kept = subject.read.__self__.network.state_dict()
    same = [torch.equal(kept[key], value) for key, value in whole.read.__self__.network.state_dict().items()]
    assert same.count(False) == (kind != "unexpected")


def test_many_misfits_are_counted_and_some_are_named(tmp_path):
    file = save(tmp_path, timm.create_model("test_vit", num_classes=0).state_dict())
    with pytest.raises(
        UserError, match=r"43 missing in the file: reg_token, (\S+, ){4}\.\.\.; 3 unexpected: cls_token,"
    ):
        opened("timm:test_vit2", weights=file)


def test_nothing_that_matches_is_an_error_even_with_partial(tmp_path):
    file = save(tmp_path, {"transformer.wte": torch.zeros(3), "x.num_batches_tracked": torch.tensor(1)})
    with pytest.raises(UserError, match=r"nothing in it fits .*transformer\.wte.*cls_token"):
        opened("timm:test_vit", weights=file, partial=True)


def test_weights_of_a_grey_encoder_do_not_fit_one_of_colour(tmp_path):
    file = save(tmp_path, timm.create_model("test_vit", in_chans=1).state_dict())
    with pytest.raises(UserError, match=r"patch_embed\.proj\.weight \(file \(64, 1, 16, 16\), encoder \(64, 3, 16, 16"):
        opened("timm:test_vit", weights=file)


def test_batch_norm_counters_do_not_matter():
    wanted = {"bn.weight": torch.Size([3]), "bn.num_batches_tracked": torch.Size([])}
    match = match_state(wanted, {"net.bn.weight": torch.ones(3), "net.old.num_batches_tracked": torch.tensor(2)})
    assert (match.prefix, match.missing, match.unexpected) == ("net.", [], [])
    assert match.set_aside == {"num_batches_tracked": 1}


def test_objects_in_a_checkpoint_are_never_unpickled(tmp_path):
    file = save(tmp_path, {"model": altered_vit(), "args": argparse.Namespace(lr=0.1)})
    with pytest.raises(UserError, match=r"argparse\.Namespace.*never unpickled here; on a machine where you trust"):
        load_state(file)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_damaged_file_is_one_line(tmp_path, name):
    file = save(tmp_path, altered_vit(), name)
    whole = (tmp_path / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no weights"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            load_state(file)


def test_files_without_weights(tmp_path):
    for content in ({"epoch": 3, "optimizer": {"m": torch.zeros(2)}}, [torch.zeros(2)], torch.zeros(2)):
        with pytest.raises(UserError, match="holds no tensors with names"):
            load_state(save(tmp_path, content))
    with pytest.raises(UserError, match="no such file"):
        load_state(tmp_path / "absent.pth")


# --- preprocessing ------------------------------------------------------------------------------------------------


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


# --- feature points -----------------------------------------------------------------------------------------------


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


# --- untrained, trainable, hashes ---------------------------------------------------------------------------------


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


# --- targets ------------------------------------------------------------------------------------------------------


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
