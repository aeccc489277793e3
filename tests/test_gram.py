"""Exact moments: on processors that multiply bytes exactly, and on those that do not."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ssl_bench.data import gram as module
from ssl_bench.data.gram import BLOCK, FLOAT_ROWS, INTEGER_ROWS, centred, exact_rows, gram, pixel_moments, product

KINDS = {
    "any": lambda shape, draw: torch.randint(0, 256, shape, generator=draw),
    "extremes": lambda shape, draw: 255 * torch.randint(0, 2, shape, generator=draw),
    "black": lambda shape, draw: torch.zeros(shape),
    "white": lambda shape, draw: torch.full(shape, 255),
}


@pytest.fixture(params=["bytes, where they are exact", "float32"])
def way(request, monkeypatch):
    if request.param == "float32":
        monkeypatch.setattr(module, "_bytes_are_exact", lambda: False)


def images(kind, *shape):
    return KINDS[kind](shape, torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (3, 1, 2, 2), (FLOAT_ROWS + 1, 3, 3, 3), (70, 1, 1, 2 * BLOCK + 9), (9000, 1, 2, 2)]
)
def test_sums_are_those_of_whole_numbers(way, kind, shape):
    pixels = images(kind, *shape)
    whole = pixels.flatten(1).numpy().astype(np.int64) - 128
    total, products = gram(pixels)
    assert np.array_equal(total.numpy(), whole.sum(0))
    assert np.array_equal(products.numpy(), whole.T @ whole)


def test_moments_are_numpys(way):
    pixels = images("any", 2000, 3, 4, 4)
    flat = pixels.flatten(1).numpy().astype(np.float64)
    mean, covariance = pixel_moments(pixels)
    assert np.allclose(mean.numpy(), flat.mean(0), rtol=1e-14)
    assert np.allclose(covariance.numpy(), np.cov(flat.T, bias=True), rtol=1e-12, atol=1e-9)


def test_products_with_labels_are_sums_by_class(way):
    pixels, labels = images("any", exact_rows(), 1, 5, 5), torch.arange(exact_rows()) % 3
    operand = centred(pixels)
    onehot = torch.nn.functional.one_hot(labels, 3).to(operand.dtype)
    slow = [(pixels[labels == label].long() - 128).sum(0).flatten() for label in range(3)]
    assert torch.equal(product(operand, onehot).long(), torch.stack(slow, 1))


def test_no_sum_is_too_large_for_its_numbers():
    assert FLOAT_ROWS * 128**2 <= 2**24
    # As some processors have it: one factor moved up by 128, so that it has no sign.
    assert INTEGER_ROWS * 255 * 128 < 2**31


@pytest.fixture
def found_anew():
    module._bytes_are_exact.cache_clear()
    yield
    module._bytes_are_exact.cache_clear()


def cut_off(left, right):
    """Products of bytes as a processor without instructions for them adds them: pairs, at most 16 bits."""
    products = left[:, :, None].long() * right[None].long()
    pairs = products.unflatten(1, (-1, 2)).sum(2).clamp(-(2**15), 2**15 - 1)
    return pairs.sum(1).int()


@pytest.mark.parametrize(("way", "exact"), [(cut_off, False), (lambda left, right: left.int() @ right.int(), True)])
def test_bytes_that_are_cut_off_are_found_out(found_anew, monkeypatch, way, exact):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch, "_int_mm", way)
    assert module._bytes_are_exact() is exact


def test_bytes_are_not_multiplied_one_by_one(found_anew, monkeypatch):
    """What torch does on a processor without instructions for bytes is exact, and a hundred times as slow."""
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    monkeypatch.setattr(torch, "_int_mm", lambda *factors: pytest.fail("slow"))
    assert not module._bytes_are_exact()
    assert gram(images("any", 10, 1, 3, 3))[1].shape == (9, 9)


@pytest.mark.parametrize("instructions", ["AVX2", "AVX512_CORE"])
def test_fewer_instructions_make_no_sum_wrong(instructions):
    """On a processor that has more of them, ``torch._int_mm`` is then wrong, and says nothing."""
    code = (
        "import torch; from ssl_bench.data.gram import gram; torch.manual_seed(0)\n"
        "pixels = torch.randint(0, 256, (2000, 90), dtype=torch.uint8)\n"
        "whole = pixels.double() - 128\n"
        "print(torch.equal(gram(pixels)[1], whole.T @ whole))"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
