"""Making views and noises never waits for the device, and on an accelerator it is one graph.

Without an accelerator: fake tensors say that they are on one and have no values, so that whatever asks for a value
raises; and a watch sees what goes from one device to another.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch
from test_noise_moments import SPECS, prepared
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from view_cases import EVERYTHING, random_images, seeded

from ssl_bench.data import views
from ssl_bench.data.augment import apply
from ssl_bench.data.augment_parameters import sample_parameters
from ssl_bench.data.images import ImageData, Split, Statistics
from ssl_bench.data.views import make_views, recipe_for
from ssl_bench.noise import color_mask, linear, make_noise, stationary
from ssl_bench.noise.gaussian import Gaussian
from ssl_bench.noise.placed import placed

CUDA = torch.device("cuda", 0)
RGB = Statistics((0.4, 0.5, 0.6), 0.25)
RECIPES = {
    "none": recipe_for("none", 32),
    "crop": recipe_for("crop", 32),
    "simclr": recipe_for("simclr", 32),
    "simclr, large": replace(recipe_for("simclr", 96), solarize=0.2),
    "everything": replace(EVERYTHING, shift=3),
}


class Watch(TorchDispatchMode):
    """Refuses operations whose result, or its shape, depends on values, and those that take data to another device.

    Numbers of the host may take part in an operation of the device: they travel with the command.
    """

    waiting = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        self.count += 1
        masks = [leaf for leaf in tree_leaves(arguments[1:]) if getattr(leaf, "dtype", None) is torch.bool]
        indexed = operation.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put)
        if (set(operation.tags) & set(self.waiting) and not indexed) or (indexed and masks):
            raise AssertionError(f"{operation} waits for the device")
        result = operation(*arguments, **(keywords or {}))
        tensors = [leaf for leaf in tree_leaves((arguments, keywords, result)) if isinstance(leaf, torch.Tensor)]
        if len({tensor.device.type for tensor in tensors if tensor.dim() > 0 or "copy" in str(operation)}) > 1:
            raise AssertionError(f"{operation} takes data to another device")
        return result


class OnDevice(torch.Generator):
    """A generator that says it is on the accelerator."""

    device = CUDA


@pytest.fixture
def accelerator():
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


@pytest.mark.parametrize("recipe", RECIPES)
def test_views_wait_for_nothing(recipe, accelerator):
    images = torch.empty((6, 3, 96, 96), dtype=torch.uint8, device=CUDA)
    with Watch():
        views = make_views(images, 2, RECIPES[recipe], RGB, Gaussian(sigma=0.1), OnDevice())
    assert views.shape == (2, 6, 3, 96, 96)
    assert views.device == CUDA


@pytest.fixture(scope="module")
def data():
    images = random_images(300, 3, 12)
    split = Split(images, torch.arange(300) % 3)
    return ImageData("random", split, split, 3)


@pytest.mark.parametrize("text", SPECS)
def test_noises_wait_for_nothing(text, data, monkeypatch):
    noise = prepared(text, data)
    for module in (stationary, color_mask, linear):
        # Has a test of its own, below; what it makes, it makes on the host.
        monkeypatch.setattr(module, "placed", lambda _, *shape: torch.empty((12, 7), device=shape[-1]))
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.empty((5, 3, 12, 12), device=CUDA)
        # Components of the dataset go to the device once.
        noise.at(0.3).sample(images, OnDevice())
        with Watch():
            noisy = noise.at(0.4).sample(images, OnDevice())
        assert noisy.shape == images.shape
        assert noisy.device == CUDA


@pytest.mark.parametrize(
    "waits",
    [
        lambda tensor: tensor.sum().item(),
        lambda tensor: bool(tensor.any()),
        lambda tensor: tensor.nonzero(),
        lambda tensor: tensor[tensor > 0],
        lambda tensor: tensor.masked_select(tensor > 0),
        lambda tensor: tensor.unique(),
        lambda tensor: tensor + torch.tensor([1.0, 2.0], device=CUDA),
        lambda tensor: tensor + torch.ones(2).to(CUDA),
        lambda tensor: tensor.cpu(),
        lambda tensor: tensor.repeat_interleave(tensor.long()),
    ],
)
def test_the_watch_sees_what_waits(waits, accelerator):
    tensor = torch.zeros(2, device=CUDA)
    with Watch(), pytest.raises(AssertionError, match=r"waits for the device|to another device"):
        waits(tensor)


def test_on_a_cpu_the_images_concerned_are_asked_for():
    with FakeTensorMode():
        images = torch.empty((6, 3, 32, 32), dtype=torch.uint8)
        parameters = sample_parameters(EVERYTHING, 6, (32, 32), torch.Generator())
        with pytest.raises(DynamicOutputShapeException):
            apply(images, parameters)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(("recipe", "size"), [("crop", 32), ("simclr", 32), ("simclr, large", 96)])
def test_an_accelerator_gets_one_graph(recipe, size, backend, monkeypatch):
    images = random_images(6, 3, size)
    parameters = sample_parameters(RECIPES[recipe], 6, (size, size), seeded(4))
    torch._dynamo.reset()
    monkeypatch.setattr(views, "apply", partial(apply, grouped=False))
    one_graph = torch.compile(views.render, fullgraph=True, dynamic=False, backend=backend)
    statistics = Statistics((0.5, 0.4, 0.3), 0.25)
    expected = views.render(images, parameters, statistics)
    torch.testing.assert_close(one_graph(images, parameters, statistics), expected, rtol=0, atol=1e-5)


def test_an_accelerator_is_given_few_commands():
    # Of the order of a hundred, where each of four operations at each of four places would be several hundred.
    parameters = sample_parameters(recipe_for("simclr", 32), 6, (32, 32), seeded())
    with Watch() as watch:
        apply(random_images(6, 3, 32), parameters, grouped=False)
    assert watch.count < 320


@pytest.mark.parametrize("text", ["power_law(alpha=1, sigma=1)", "blur(sigma=1)", "frequency_mask(cutoff=0.2)"])
def test_what_no_draw_changes_is_made_once(text, monkeypatch):
    noise, images = make_noise(text), torch.randn(3, 1, 8, 8, generator=seeded())
    name = {"power_law": "power", "blur": "transfer", "frequency_mask": "low_pass"}[text.split("(")[0]]
    made = []
    original = getattr(type(noise), name)
    monkeypatch.setattr(type(noise), name, lambda self, *size: made.append(size) or original(self, *size))
    first, again = (noise.sample(images, seeded(1)) for _ in range(2))
    assert made == [(8, 8)]
    assert torch.equal(first, again)
    noise.sample(torch.zeros(1, 1, 8, 6), seeded())
    make_noise(text).sample(images, seeded())
    assert made == [(8, 8), (8, 6), (8, 8)], "another size, another noise: something else"


def test_what_is_placed_stays_on_its_device():
    noise = make_noise("power_law(alpha=1, sigma=1)")
    host, other = (placed(noise.gain, 8, 8, torch.device(device)) for device in ("cpu", "meta"))
    assert torch.equal(host, noise.gain(8, 8).float())
    assert other.device.type == "meta"
    assert placed(noise.gain, 8, 8, torch.device("meta")) is other
    with torch.inference_mode():
        assert not placed(noise.gain, 9, 9, torch.device("cpu")).is_inference()
