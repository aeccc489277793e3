"""What the tests of views share: recipes of every stage, images that are hard to get right, torchvision's own views."""

import torch
from torchvision.transforms.v2 import functional as reference

from ssl_bench.data.views import Recipe

EVERYTHING = Recipe(
    crop_scale=(0.08, 1.0), flip=0.5, jitter=0.8, jitter_strength=1.0, grayscale=0.2, blur=0.5, solarize=0.3
)
STAGES = {
    "crop": Recipe(crop_scale=(0.08, 1.0)),
    "crop_flip": Recipe(crop_scale=(0.2, 1.0), flip=0.5),
    "jitter": Recipe(jitter=0.8, jitter_strength=1.0),
    "grayscale": Recipe(grayscale=0.5),
    "blur": Recipe(blur=0.7),
    "solarize": Recipe(solarize=0.5),
    "everything": EVERYTHING,
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(count, channels, size, seed=0):
    """Noise is the hardest case of interpolation; the first image is grey and the second has flat areas."""
    images = torch.randint(0, 256, (count, channels, size, size), generator=seeded(seed), dtype=torch.uint8)
    images[0] = images[0, :1]
    images[1, :, : size // 2] = torch.tensor([0, 255, 128][:channels], dtype=torch.uint8).view(-1, 1, 1)
    return images


def torchvision_view(image, parameters, row):
    """One view by torchvision's functional calls, before solarize, and whether that follows. Shape ``(C, H, W)``."""
    image = image.float() / 255
    size = list(image.shape[-2:])
    if parameters.crop is not None:
        top, left, height, width = parameters.crop[row].tolist()
        image = reference.resized_crop(image, top, left, height, width, size, antialias=True)
    if parameters.flip is not None and parameters.flip[row]:
        image = reference.horizontal_flip(image)
    if parameters.jitter is not None and parameters.jitter.chosen[row]:
        adjust = [
            reference.adjust_brightness,
            reference.adjust_contrast,
            reference.adjust_saturation,
            reference.adjust_hue,
        ]
        for number in parameters.jitter.order[row].tolist():
            image = adjust[number](image, float(parameters.jitter.factors[row, number]))
    if parameters.grayscale is not None and parameters.grayscale[row]:
        image = reference.rgb_to_grayscale(image, num_output_channels=image.shape[0])
    if parameters.blur is not None and parameters.blur.chosen[row]:
        kernel = max(3, size[0] // 10 // 2 * 2 + 1)
        image = reference.gaussian_blur(image, [kernel, kernel], [float(parameters.blur.sigma[row])])
    return image, parameters.solarize is not None and bool(parameters.solarize[row])


def largest_error(views, images, parameters):
    errors = []
    for row, (view, image) in enumerate(zip(views, images, strict=True)):
        expected, inverted = torchvision_view(image, parameters, row)
        # At the threshold the last bit decides, and inverting is a jump: where it was rounded, leave such pixels out.
        decided = ((expected - 128 / 255).abs() > 1e-5) | (parameters.crop is None)
        expected = reference.solarize(expected, 128 / 255) if inverted else expected
        errors.append(float((view - expected).abs()[decided].max()))
    return max(errors)
