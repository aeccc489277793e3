"""SimCLR and MAE put together from lightly's modules as its examples do, on a backbone that ssl_bench builds."""

from __future__ import annotations

import torch
from lightly.loss import NTXentLoss
from lightly.models import utils
from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM, SimCLRProjectionHead
from torch import Tensor, nn

from ssl_bench.backbones.base import Backbone
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.objectives.mae import MAEOptions
from ssl_bench.objectives.simclr import SimCLROptions


class LightlySimCLR(nn.Module):
    """Its example ``simclr.py``, with a head of the sizes that ssl_bench has."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        sizes = SimCLROptions()
        self.backbone = backbone
        self.projection_head = SimCLRProjectionHead(backbone.info.dim, sizes.hidden_dim, sizes.output_dim)
        self.criterion = NTXentLoss(sizes.temperature)

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: ``(B, C, H, W)`` -> ``(B, D)``."""
        out: Tensor = self.projection_head(self.backbone(images).embedding)
        return out

    def loss_apart(self, first: Tensor, second: Tensor) -> Tensor:
        """A forward for each view, as in the example. Shapes: both ``(B, C, H, W)`` -> scalar."""
        loss: Tensor = self.criterion(self(first), self(second))
        return loss

    def loss_together(self, first: Tensor, second: Tensor) -> Tensor:
        """One forward of both views, so that batch statistics are of both. Shapes: as :meth:`loss_apart`."""
        loss: Tensor = self.criterion(*self(torch.cat([first, second])).float().chunk(2))
        return loss


class LightlyMAE(nn.Module):
    """Its example ``mae.py``, with a decoder of the sizes that ssl_bench has.

    With ``class_token`` the decoder sees the class token too, as in the example. Without it, it is the network that
    ssl_bench trains: of the same weights and the same hidden patches, both give the same loss.
    """

    def __init__(self, backbone: Backbone, class_token: bool) -> None:
        super().__init__()
        assert isinstance(backbone, ViTBackbone)
        vit, sizes = backbone.vit, MAEOptions()
        self.ratio, self.patch = sizes.ratio, backbone.info.patch_size
        # How many tokens the decoder is not given, of those before the patches.
        self.left_out = 0 if class_token else backbone.prefix
        self.backbone = MaskedVisionTransformerTIMM(vit=vit)
        self.decoder = MAEDecoderTIMM(
            num_patches=vit.patch_embed.num_patches,
            patch_size=self.patch,
            in_chans=backbone.info.channels,
            embed_dim=vit.embed_dim,
            decoder_embed_dim=sizes.decoder_width,
            decoder_depth=sizes.decoder_depth,
            decoder_num_heads=max(1, sizes.decoder_width // 32),
            num_prefix_tokens=backbone.prefix - self.left_out,
            norm_layer=nn.LayerNorm,
        )
        self.criterion = nn.MSELoss()

    def forward(self, images: Tensor) -> Tensor:
        """The loss of one random masking. Shapes: ``(B, C, H, W)`` -> scalar."""
        size = (len(images), self.backbone.sequence_length)
        keep, mask = utils.random_token_mask(size=size, mask_ratio=self.ratio, device=images.device)
        return self.loss(images, keep, mask)

    def loss(self, images: Tensor, keep: Tensor, mask: Tensor) -> Tensor:
        """The loss of one masking. Indices count the class token, which is the first of those kept.

        Shapes: images ``(B, C, H, W)``, keep ``(B, n)``, mask ``(B, m)`` -> scalar.
        """
        encoded = self.backbone.encode(images=images, idx_keep=keep)
        visible = self.decoder.embed(encoded[:, self.left_out :])
        length = self.backbone.sequence_length - self.left_out
        tokens = utils.repeat_token(self.decoder.mask_token, (len(images), length))
        tokens = utils.set_at_index(tokens, keep[:, self.left_out :] - self.left_out, visible.type_as(tokens))
        decoded = self.decoder.decode(tokens)
        predicted = self.decoder.predict(utils.get_at_index(decoded, mask - self.left_out))
        target = utils.get_at_index(utils.patchify(images, self.patch), mask - 1)
        loss: Tensor = self.criterion(predicted.float(), target)
        return loss
