"""What the tests of encoders from elsewhere share: small networks, their weights in files, the library's own pixels."""

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.config import EncoderConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.encoders import open_encoder

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
