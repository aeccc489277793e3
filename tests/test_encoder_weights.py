"""Weights from files: public formats give their source's features, misfits are said."""

import argparse
import functools

import pytest
import timm
import torch
from encoder_cases import (
    DATA,
    HALF,
    IMAGENET,
    VIT,
    assert_same,
    library_pixels,
    lightning,
    opened,
    save,
    scramble,
    small_resnet,
    with_prefix,
)
from lightly.models import ResNetGenerator
from lightly.models.modules import MaskedVisionTransformerTIMM, SimCLRProjectionHead
from torch import nn
from torchvision import models

from ssl_bench.encoders.matching import match_state
from ssl_bench.encoders.weights import load_state
from ssl_bench.errors import UserError


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


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
