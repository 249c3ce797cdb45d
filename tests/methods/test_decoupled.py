"""ODA-GAN as reconstructed: orthogonal heads, masks with a reversed gradient, queues by class, and its labels."""

from pathlib import Path

import pytest
import torch
from contract import batch_for, small
from small import write_pairs
from stepping import build, take

import restain
from restain.errors import RestainError
from restain.networks.decoupler import Decoupler, OrthogonalProjector
from restain.terms.feature_queue import FeatureQueue


def test_heads_keep_lengths_and_angles() -> None:
    torch.manual_seed(0)
    heads = OrthogonalProjector([3, 16], 8).double().heads
    narrow = heads[0][0].weight  # 3 -> 8: orthonormal columns
    torch.testing.assert_close(narrow.T @ narrow, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-5)
    wide = heads[1][0].weight  # 16 -> 8: orthonormal rows
    torch.testing.assert_close(wide @ wide.T, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-5)


def test_the_mask_is_pushed_against_the_second_classifier_and_that_one_learns() -> None:
    torch.manual_seed(1)
    decoupler = Decoupler(1, 6, 2)
    maps, labels = [torch.randn(3, 6, 32, 32)], torch.tensor([0, 1, 1])
    mask, mean = decoupler.mask(maps)[0], maps[0].mean(dim=(2, 3))
    plain = torch.nn.functional.cross_entropy(decoupler.dropped[0]((1 - mask) * mean), labels)
    level, head = decoupler.levels[0], decoupler.dropped[0].weight
    expected = torch.autograd.grad(plain, (level, head))
    found = torch.autograd.grad(decoupler.losses(maps, labels)[1], (level, head))
    torch.testing.assert_close(found[0], -expected[0])
    torch.testing.assert_close(found[1], expected[1])


def test_a_queue_keeps_the_last_features_of_each_class() -> None:
    queue = FeatureQueue(2, 4, 1)
    assert queue.weights().sum() == 0
    for step in range(3):
        rows = torch.tensor([[[10.0 * step], [10.0 * step + 1]], [[-1.0 - step], [-1.5 - step]]])
        queue.keep(rows, torch.tensor([0, 1]))
    assert sorted(queue.features[0].flatten().tolist()) == [10, 11, 20, 21]
    assert sorted(queue.features[1].flatten().tolist()) == [-3.5, -3, -2.5, -2]
    queue.keep(torch.arange(6.0).view(1, 6, 1), torch.tensor([0]))
    assert sorted(queue.features[0].flatten().tolist()) == [2, 3, 4, 5]
    assert queue.weights().sum() == 8


def test_terms_by_class_begin_once_both_classes_were_seen() -> None:
    recipe = small("oda-gan-reconstructed")
    method, batch = build(recipe), batch_for(recipe)
    first = take(method, "generator", batch)
    assert first.terms["related"] == 0 and first.terms["alignment"] == 0
    method.after_step(first.terms, first.carried, 2, None)
    second = take(method, "generator", batch)
    assert second.terms["related"] > 0 and second.terms["alignment"] > 0


def test_a_field_without_a_label_is_named(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", train=2, val=1)
    with pytest.raises(RestainError, match=r"s0_0_0 has no label; expected tumour or normal .* column label"):
        restain.train(data, tmp_path / "run", "oda-gan-reconstructed-small")
    rows = [
        f"s{n}_0_{n},trainA/s{n}_0_{n}.png,trainB/s{n}_0_{n}.png,train,{word}" for n, word in ((0, "tumour"), (1, "3+"))
    ]
    (data / "manifest.csv").write_text("\n".join(["id,source,target,split,label", *rows]))
    with pytest.raises(RestainError, match=r"s1_0_1 has the label '3\+'; expected tumour or normal"):
        restain.train(data, tmp_path / "run", "confusion-gan-reconstructed-small")
    assert not (tmp_path / "run").exists()
