import pytest
import torch

from ssl_bench.backbones import BACKBONES, linear, make_backbone
from ssl_bench.backbones.base import Features
from ssl_bench.backbones.decoders import make_decoder
from ssl_bench.backbones.feature_point import EMBEDDING, FeaturePoint, pool_spatial
from ssl_bench.backbones.linear import OneDNNLinear, with_onednn
from ssl_bench.backbones.tokens import put_tokens, take_tokens
from ssl_bench.backbones.vit import small_image_patch
from ssl_bench.config import BackboneConfig
from ssl_bench.errors import UserError

CASES = [
    (name, size, channels)
    for name in ("resnet_micro", "vit_micro", "mlp")
    for size, channels in ((8, 1), (28, 1), (32, 3), (48, 2))
]


def build(name, size=32, channels=3, **settings):
    torch.manual_seed(0)
    return make_backbone(BackboneConfig(name=name, **settings), size, channels).eval()


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [*CASES, ("pixels", 8, 1), ("mlp", 9, 2), ("resnet9", 28, 1), ("resnet18", 32, 3), ("vit_tiny", 32, 3)],
)
def test_contract_every_backbone(name, size, channels):
    backbone = build(name, size, channels)
    info = backbone.info
    features = backbone(torch.randn(2, channels, size, size))
    assert isinstance(features, Features)
    assert features.embedding.shape == (2, info.dim)
    if info.spatial == "map":
        assert features.spatial.shape == (2, info.width, *info.grid)
    else:
        assert features.spatial.shape == (2, info.grid[0] * info.grid[1], info.width)


@pytest.mark.parametrize("kind", ["latent", "mean", "cls"])
def test_the_embedding_is_the_one_asked_for(kind):
    backbone = build("vit_micro", embedding=kind, latent_dim=17)
    images = torch.randn(3, 3, 32, 32)
    features = backbone(images)
    tokens = backbone.encode_tokens(images)
    expected = {
        "latent": lambda: backbone.pooling.project(tokens[:, 1:].flatten(1)),
        "mean": lambda: tokens[:, 1:].mean(1),
        "cls": lambda: tokens[:, 0],
    }[kind]()
    assert torch.allclose(features.embedding, expected, atol=1e-6)
    assert backbone.info.dim == (17 if kind == "latent" else 96)


def test_cnn_embeddings():
    assert build("resnet_micro").info.embedding == "latent"
    mean = build("resnet_micro", embedding="mean")
    features = mean(torch.randn(2, 3, 32, 32))
    assert torch.allclose(features.embedding, features.spatial.mean((2, 3)), atol=1e-6)
    with pytest.raises(UserError, match="no class token"):
        build("resnet_micro", embedding="cls")


def test_kept_tokens_are_encoded_as_if_the_others_were_not_there():
    """Keeping all patches in another order permutes the tokens; changing a dropped patch changes nothing."""
    backbone = build("vit_micro")
    images = torch.randn(1, 3, 32, 32)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))[None]
    shuffled = backbone.encode_tokens(images, order)
    assert torch.allclose(shuffled[:, 1:], backbone.encode_tokens(images)[:, 1:][:, order[0]], atol=1e-5)
    other = images.clone()
    other[..., :4, :4] = 9.0  # patch 0
    keep = torch.arange(1, 20)[None]
    assert torch.equal(backbone.encode_tokens(images, keep), backbone.encode_tokens(other, keep))
    assert not torch.equal(backbone.encode_tokens(images), backbone.encode_tokens(other))


def test_tokens_are_taken_and_put_back():
    generator = torch.Generator().manual_seed(0)
    tokens, values = torch.randn(3, 7, 4, generator=generator), torch.randn(3, 2, 4, generator=generator)
    index = torch.rand(3, 7, generator=generator).argsort(1)[:, :2]
    taken, put = take_tokens(tokens[:, :, :3], index), put_tokens(tokens, index, values)
    for image in range(3):
        assert torch.equal(taken[image], tokens[image, index[image], :3])
        expected = tokens[image].clone()
        expected[index[image]] = values[image]
        assert torch.equal(put[image], expected)


@pytest.fixture
def onednn(monkeypatch):
    """As on a processor with AVX-512; elsewhere oneDNN computes the same more slowly."""
    monkeypatch.setattr(linear, "onednn_is_faster", lambda: hasattr(torch.ops.mkldnn, "_linear_pointwise"))


@pytest.mark.parametrize("shape", [(5, 6), (4, 9, 6), (3, 2, 5, 6), (0, 6), (1, 6)])
@pytest.mark.parametrize(("width", "bias"), [(3, True), (6, False), (11, True)])
def test_onednn_multiplies_as_linear_layers_do(onednn, shape, width, bias):
    generator = torch.Generator().manual_seed(0)
    layer = with_onednn(torch.nn.Linear(6, width, bias=bias))
    slow = torch.nn.Linear(6, width, bias=bias).double()
    slow.load_state_dict(layer.state_dict())
    rows = torch.randn(shape, generator=generator, requires_grad=True)
    exact = rows.detach().double().requires_grad_()
    weight = torch.randn(*shape[:-1], width, generator=generator)
    made, expected = layer(rows), slow(exact)
    assert made.shape == expected.shape
    torch.testing.assert_close(made.double(), expected, rtol=1e-5, atol=1e-5)
    (made * weight).sum().backward()
    (expected * weight.double()).sum().backward()
    for one, other in ((rows, exact), *zip(layer.parameters(), slow.parameters(), strict=True)):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-5, atol=1e-5)
        assert one.grad.stride() == one.stride(), "fused optimizers go by the place in memory"


def test_onednn_keeps_names_weights_and_frozen_parts(onednn):
    layer = torch.nn.Linear(4, 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with_onednn(layer)
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
    layer.weight.requires_grad_(False)
    layer(torch.ones(2, 4)).sum().backward()
    assert layer.weight.grad is None
    assert torch.equal(layer.bias.grad, torch.full((3,), 2.0))


@pytest.mark.parametrize("case", ["autocast", "double", "compiled"])
def test_onednn_is_for_plain_float32(onednn, monkeypatch, case):
    monkeypatch.setattr(linear, "_times_transposed", None)
    layer, rows = with_onednn(torch.nn.Linear(4, 3)), torch.ones(2, 4)
    if case == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(rows).dtype == torch.bfloat16
    elif case == "double":
        assert layer.double()(rows.double()).dtype == torch.float64
    else:
        assert torch.compile(layer, backend="eager", fullgraph=True)(rows).shape == (2, 3)


def test_gradients_of_gradients_and_transforms_pass_through(onednn):
    layer, rows = with_onednn(torch.nn.Linear(4, 3)), torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    plain = torch.nn.Linear(4, 3)
    plain.load_state_dict(layer.state_dict())

    def penalty(module):
        seen = rows.clone().requires_grad_()
        (slope,) = torch.autograd.grad(module(seen).pow(3).sum(), seen, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), list(module.parameters()))

    for ours, theirs in zip(penalty(layer), penalty(plain), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.func.vmap(torch.func.jacrev(layer))(rows), plain.weight.expand(5, 3, 4))


def test_transformers_multiply_with_onednn():
    for module in (build("vit_micro"), build("mlp")):
        linears = [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]
        assert linears
        assert all(type(layer) is OneDNNLinear for layer in linears)


def test_small_image_rules():
    small, large = build("resnet18", 32), build("resnet18", 96)
    assert (small.body.conv1.kernel_size, small.body.conv1.stride) == ((3, 3), (1, 1))
    assert isinstance(small.body.maxpool, torch.nn.Identity)
    assert small.info.adaptation["stem"] == "3x3 convolution, stride 1"
    assert (large.body.conv1.kernel_size, large.info.adaptation) == ((7, 7), {"stem": "as published"})
    assert small.info.grid == (4, 4)
    assert [small_image_patch(size) for size in (8, 28, 32, 64, 96)] == [2, 4, 4, 8, 12]
    assert build("vit_tiny", 32).info.patch_size == 4
    assert build("vit_micro", 32, patch_size=8).info.grid == (4, 4)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet_mikro", {}, "did you mean 'resnet_micro'"),
        ("resnet19", {}, "did you mean 'resnet18'|did you mean 'resnet10'|did you mean 'resnet"),
        ("vit_micro", {"patch_size": 5}, "does not divide the image size 32"),
        ("resnet_micro", {"patch_size": 4}, "is for ViTs"),
        ("swin_tiny_patch4_window7_224", {}, "swin_tiny"),
    ],
)
def test_impossible_backbones(name, settings, message):
    with pytest.raises(UserError, match=message):
        build(name, **settings)


@pytest.mark.parametrize("kind", ["convolution", "transformer"])
@pytest.mark.parametrize("source", ["embedding", "spatial"])
@pytest.mark.parametrize(("name", "size", "channels"), CASES)
def test_every_decoder_fits_every_backbone(kind, source, name, size, channels):
    backbone = build(name, size, channels)
    decoder = make_decoder(kind, source, backbone.info, width=32, depth=1)
    features = backbone(torch.randn(2, channels, size, size))
    assert decoder(features).shape == (2, channels, size, size)
    if source == "embedding":
        cut = Features(features.embedding, torch.full_like(features.spatial, torch.nan))
        assert torch.isfinite(decoder(cut)).all(), "nothing may bypass the embedding"


def outputs_of(modules, call):
    """What each module returns while ``call`` runs."""
    seen = {}
    hooks = [m.register_forward_hook(lambda m, i, o, k=k: seen.setdefault(k, o)) for k, m in enumerate(modules)]
    call()
    for hook in hooks:
        hook.remove()
    return [seen[index] for index in range(len(modules))]


@pytest.mark.parametrize("name", ["vit_micro", "vit_tiny", "resnet_micro", "resnet18"])
def test_features_after_a_block_are_what_the_block_returned(name):
    backbone = build(name)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    if name.startswith("vit"):
        blocks = list(backbone.vit.blocks)
    elif name == "resnet_micro":
        blocks = list(backbone.body)[3:]
    else:
        blocks = [backbone.body.act1, *(getattr(backbone.body, f"layer{index}") for index in (1, 2, 3, 4))]
    with torch.no_grad():
        outputs = outputs_of(blocks, lambda: backbone(images))
        assert backbone.info.layers == len(blocks)
        for layer, output in enumerate(outputs, start=1):
            patches = output[:, 1:].mean(1) if name.startswith("vit") else output.mean((2, 3))
            assert torch.allclose(backbone.read(images, FeaturePoint(layer=layer)), patches, atol=1e-5)
            made = backbone.read(images, FeaturePoint("map", layer))
            assert torch.allclose(made.mean((2, 3)), patches, atol=1e-5)
    with pytest.raises(UserError, match=rf"layer=99: {name} has blocks 1 to {len(blocks)}"):
        backbone.read(images, FeaturePoint(layer=99))


def test_pools_of_a_transformer():
    backbone = build("vit_micro", embedding="latent", latent_dim=17)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = backbone.encode_tokens(images)
    assert torch.equal(backbone.read(images, EMBEDDING), backbone(images).embedding)
    assert torch.equal(backbone.read(images, FeaturePoint("cls")), tokens[:, 0])
    assert torch.equal(backbone.read(images, FeaturePoint("mean")), tokens[:, 1:].mean(1))
    assert torch.equal(backbone.read(images, FeaturePoint("tokens")), tokens)
    made = backbone.read(images, FeaturePoint("map"))
    assert torch.equal(made[:, :, 3, 5], tokens[:, 1 + 3 * 8 + 5])


def test_tokens_that_are_no_square_of_places_make_no_map():
    with pytest.raises(UserError, match="an encoder has 7 tokens, which are no square of places"):
        pool_spatial(torch.randn(2, 7, 3), 0, "map", "an encoder")
    with pytest.raises(UserError, match="65 tokens"):
        pool_spatial(torch.randn(2, 65, 192), 0, "map", "an encoder")
    assert pool_spatial(torch.randn(2, 65, 192), 1, "map", "an encoder").shape == (2, 192, 8, 8)


def test_the_list_names_what_can_be_built():
    assert {"resnet_micro", "vit_micro", "pixels", "resnet18"} <= set(BACKBONES)
