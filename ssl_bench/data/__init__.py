"""Images in memory, where they come from, and the views made of them. Importing this package imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_bench.registry import Entry, Registry

if TYPE_CHECKING:
    from ssl_bench.data.source import Source

DATASETS: Registry[type[Source]] = Registry(
    "dataset",
    {
        "arrays": Entry("ssl_bench.data.arrays:Arrays", "a .npz file of one's own: dataset.file=FILE"),
        "cifar10": Entry("ssl_bench.data.torchvision_sets:Cifar10", "60,000 photographs, 32 px, 10 classes"),
        "cifar100": Entry("ssl_bench.data.torchvision_sets:Cifar100", "60,000 photographs, 32 px, 100 classes"),
        "digits": Entry("ssl_bench.data.digits:Digits", "1,797 handwritten digits, 8 px, shipped with scikit-learn"),
        "fashion_mnist": Entry(
            "ssl_bench.data.torchvision_sets:FashionMnist", "70,000 garments, 28 px grey, 10 classes"
        ),
        "folder": Entry("ssl_bench.data.folder:Folder", "one folder a class: dataset.file=DIR dataset.image_size=N"),
        "imagenette": Entry("ssl_bench.data.torchvision_sets:Imagenette", "13,394 photographs, 10 classes of ImageNet"),
        "mnist": Entry("ssl_bench.data.torchvision_sets:Mnist", "70,000 handwritten digits, 28 px grey"),
        "spectral": Entry(
            "ssl_bench.data.spectral:Spectral", "synthetic: 1/f^gamma background, class in a chosen band"
        ),
        "stl10": Entry("ssl_bench.data.torchvision_sets:Stl10", "13,000 labelled photographs, 96 px, 10 classes"),
        "svhn": Entry("ssl_bench.data.torchvision_sets:Svhn", "99,289 house-number digits, 32 px, 10 classes"),
    },
)
