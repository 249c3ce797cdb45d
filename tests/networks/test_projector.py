"""Projection heads: the gather and the formula by hand."""

import torch
import torch.nn.functional as F

from restain.networks.projector import PatchProjector, gather


def test_gather_picks_flat_locations() -> None:
    feature = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    index = torch.tensor([[0, 7], [19, 5]])
    picked = gather(feature, index)
    for n in range(2):
        for p in range(2):
            y, x = divmod(index[n, p].item(), 5)
            assert torch.equal(picked[n, p], feature[n, :, y, x])


def test_heads_are_two_linear_layers_and_a_unit_vector() -> None:
    torch.manual_seed(0)
    projector = PatchProjector([3, 6], dim=8)
    features = [torch.rand(2, 3, 6, 6), torch.rand(2, 6, 3, 3)]
    index = [torch.tensor([[0, 4, 9]] * 2), torch.tensor([[8, 2]] * 2)]
    for head, feature, where, found in zip(projector.heads, features, index, projector(features, index), strict=True):
        first, _, second = head
        rows = feature.flatten(2).transpose(1, 2)[:, where[0]]
        expected = second(F.relu(first(rows)))
        torch.testing.assert_close(found, expected / expected.norm(dim=-1, keepdim=True))
