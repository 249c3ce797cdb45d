"""Confusion-GAN as reconstructed: the label of the H&E in the virtual IHC."""

import pytest
import torch
from contract import batch_for, small
from stepping import build, take


def test_the_label_of_the_he_is_looked_for_in_the_virtual_ihc() -> None:
    recipe = small("confusion-gan-reconstructed")
    method, batch = build(recipe), batch_for(recipe)
    shared = method.forward_pass(batch)
    logits = method.classifier(shared.ihc)
    tumour = torch.tensor([label == "tumour" for label in batch.labels]).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, tumour)
    assert take(method, "generators", batch, shared).terms["pathology"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    learned = method.pretrained.loss(batch)
    of_real = torch.tensor([label == "tumour" for label in batch.target_labels]).float()
    by_hand = torch.nn.functional.binary_cross_entropy_with_logits(method.classifier(batch.target), of_real)
    assert learned.item() == pytest.approx(by_hand.item(), rel=1e-6)
