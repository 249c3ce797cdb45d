from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from restain.data.layouts import find_pairs
from restain.data.pairs import EpochSampler, PairedImages, SampleKey, UnpairedImages, collate, training_images
from restain.data.records import ImageRef, Manifest
from restain.data.transforms import Jitter
from restain.errors import RestainError
from restain.tensors import to_rgb


def _coordinates(offset: int) -> np.ndarray:
    """An image whose pixels tell their own place: red is the row, green the column, blue the image."""
    rows, columns = np.mgrid[:40, :50]
    return np.stack([rows, columns, np.full_like(rows, offset)], axis=-1).astype(np.uint8)


@pytest.fixture
def records(tmp_path):
    for folder, offset in (("trainA", 0), ("trainB", 100)):
        (tmp_path / folder).mkdir()
        for index in range(5):
            Image.fromarray(_coordinates(offset + index)).save(tmp_path / folder / f"{index}.png")
    return find_pairs(tmp_path).pairs("train")


def test_one_draw_for_both_images(records):
    images = PairedImages(records, crop=16, flip=True)
    seen = set()
    for seed in range(40):
        sample = images[SampleKey(3, seed)]
        source, target = to_rgb(sample.source), to_rgb(sample.target)
        np.testing.assert_array_equal(source[..., :2], target[..., :2])
        assert (source[..., 2] == 3).all() and (target[..., 2] == 103).all()
        assert (sample.id, sample.seed) == ("3", seed)
        seen.add((int(source[0, 0, 0]), int(source[0, 0, 1]), bool(source[0, 0, 1] > source[0, 1, 1])))
    assert len(seen) > 30 and {flip for *_, flip in seen} == {True, False}


def test_a_sample_follows_from_its_key_alone(records):
    images, again = (PairedImages(records, crop=16, flip=True) for _ in range(2))
    first = images[SampleKey(1, 9)]
    images[SampleKey(2, 5)]
    assert torch.equal(first.source, images[SampleKey(1, 9)].source)
    assert torch.equal(first.target, again[SampleKey(1, 9)].target)


def test_pairs_of_different_size_and_too_small_images_are_named(records):
    Image.fromarray(_coordinates(0)[:30]).save(records[0].target.path)
    with pytest.raises(RestainError, match=r"trainA/0\.png and .*trainB/0\.png: are 40 x 50 and 30 x 50 pixels"):
        PairedImages(records, crop=16, flip=False)[SampleKey(0, 0)]
    with pytest.raises(RestainError, match=r"trainA/1\.png: is 40 x 50 pixels; expected at least the crop, 41"):
        PairedImages(records, crop=41, flip=False)[SampleKey(1, 0)]
    with pytest.raises(RestainError, match="no H&E/IHC pairs"):
        PairedImages([], crop=16, flip=False)


def test_unpaired_draws_are_independent(records):
    images = UnpairedImages(records, records[:4], crop=16, flip=True)
    assert len(images) == 5
    table, places = Counter(), []
    for seed in range(1200):
        sample = images[SampleKey(seed % 5, seed)]
        source, target = to_rgb(sample.source), to_rgb(sample.target)
        assert sample.id == str(seed % 5) and source[0, 0, 2] == seed % 5
        table[seed % 5, int(target[0, 0, 2]) - 100] += 1
        places.append([*source[0, 0, :2], *target[0, 0, :2]])
    counts = np.array([[table[s, t] for t in range(4)] for s in range(5)])
    assert ((counts - 60) ** 2 / 60).sum() < 37.7  # 0.999 quantile at 15 degrees of freedom
    correlation = np.corrcoef(np.array(places, dtype=float).T)[:2, 2:]
    assert np.abs(correlation).max() < 0.12  # about four standard deviations of 1200 independent draws


def test_unpaired_images_need_both_pools(records):
    with pytest.raises(RestainError, match="no IHC images"):
        UnpairedImages(records, [], crop=16, flip=False)


def _steps(length, batch, world, accumulate, **more):
    """The keys of each optimizer step, all processes together."""
    ranks = [
        list(EpochSampler(length, batch, 7, 2, rank=r, world=world, accumulate=accumulate, **more))
        for r in range(world)
    ]
    count = len(ranks[0]) // accumulate
    return [
        [key for a in range(accumulate) for rank in ranks for key in rank[step * accumulate + a]]
        for step in range(count)
    ]


@pytest.mark.parametrize(
    ("batch", "world", "accumulate"), [(1, 2, 1), (2, 1, 1), (1, 1, 2), (4, 1, 1), (2, 2, 1), (1, 2, 2)]
)
def test_a_step_is_the_same_however_it_is_divided(batch, world, accumulate):
    size = batch * world * accumulate
    whole = _steps(11, size, 1, 1)
    assert _steps(11, batch, world, accumulate) == whole
    assert len(whole) == EpochSampler(11, batch, 7, 2, world=world, accumulate=accumulate).steps_per_epoch


def test_an_epoch_visits_everything_and_is_filled_up_from_its_start():
    keys = [key for step in _steps(11, 4, 1, 1) for key in step]
    assert len(keys) == 12
    assert sorted(key.index for key in keys[:11]) == list(range(11))
    assert keys[11].index == keys[0].index and keys[11].seed != keys[0].seed
    assert len({key.seed for key in keys}) == 12
    few = [key.index for step in _steps(3, 8, 1, 1) for key in step]
    assert few == (few[:3] * 3)[:8] and sorted(few[:3]) == [0, 1, 2]


def test_resume_continues_where_it_stopped():
    whole = list(EpochSampler(11, 2, 7, 2, accumulate=2))
    resumed = EpochSampler(11, 2, 7, 2, accumulate=2, start_step=2)
    assert list(resumed) == whole[4:]
    assert len(resumed) == len(whole) - 4 == 2
    assert resumed.steps_per_epoch == 3


def test_epochs_and_seeds_differ():
    def order(seed, epoch):
        return [key for batch in EpochSampler(50, 1, seed, epoch) for key in batch]

    assert order(0, 0) == order(0, 0)
    assert [k.index for k in order(0, 0)] != [k.index for k in order(0, 1)]
    assert [k.index for k in order(0, 0)] != [k.index for k in order(1, 0)]
    assert {k.seed for k in order(0, 0)}.isdisjoint(k.seed for k in order(0, 1))


def test_batches_do_not_depend_on_workers(records):
    images = PairedImages(records, crop=16, flip=True)
    plain, workers = (
        list(DataLoader(images, batch_sampler=EpochSampler(5, 2, 3, 0), collate_fn=collate, num_workers=count))
        for count in (0, 2)
    )
    assert len(plain) == len(workers) == 3
    for one, other in zip(plain, workers, strict=True):
        assert one.source.shape == (2, 3, 16, 16)
        assert torch.equal(one.source, other.source) and torch.equal(one.target, other.target)
        assert (one.ids, one.seeds) == (other.ids, other.seeds)


def test_side_by_side_images_train_like_two_folders(records, tmp_path):
    (tmp_path / "joined/train").mkdir(parents=True)
    for record in records:
        joined = np.hstack([record.source.read(), record.target.read()])
        Image.fromarray(joined).save(tmp_path / "joined/train" / f"{record.id}.png")
    halves = find_pairs(tmp_path / "joined").pairs("train")
    assert halves[0].source == ImageRef(tmp_path / "joined/train/0.png", "left")
    key = SampleKey(2, 11)
    one, other = PairedImages(records, crop=16, flip=True)[key], PairedImages(halves, crop=16, flip=True)[key]
    assert torch.equal(one.source, other.source) and torch.equal(one.target, other.target)


def test_jitter_changes_the_he_alone(records):
    plain, jittered = (PairedImages(records, crop=16, flip=True, jitter=j) for j in (Jitter(), Jitter(0.5, 0.5, 0.5)))
    for seed in range(5):
        before, after = plain[SampleKey(1, seed)], jittered[SampleKey(1, seed)]
        assert torch.equal(before.target, after.target) and not torch.equal(before.source, after.source)
        assert torch.equal(after.source, jittered[SampleKey(1, seed)].source)


def test_both_images_of_a_pair_are_turned_alike(records):
    images = PairedImages(records, crop=16, flip=True, turns=True)
    seen = set()
    for seed in range(40):
        sample = images[SampleKey(1, seed)]
        source, target = to_rgb(sample.source).astype(int), to_rgb(sample.target).astype(int)
        np.testing.assert_array_equal(source[..., :2], target[..., :2])
        seen.add(tuple((source[0, 1] - source[0, 0])[:2]) + tuple((source[1, 0] - source[0, 0])[:2]))
    assert len(seen) == 8  # the symmetries of a square


def weighted(records):
    return [replace(record, weight=weight) for record, weight in zip(records, (1, 0.5, 1, 0, 0.25), strict=True)]


def test_a_batch_carries_the_weights_of_its_pairs_where_they_differ(records):
    images = PairedImages(weighted(records), crop=16, flip=True)
    batch = collate([images[SampleKey(index, 0)] for index in (0, 1, 4)])
    assert batch.weights.tolist() == [1, 0.5, 0.25]
    assert collate([images[SampleKey(index, 0)] for index in (0, 2)]).weights is None
    blind = PairedImages(weighted(records), crop=16, flip=True, weighted=False)
    assert collate([blind[SampleKey(index, 0)] for index in (0, 1)]).weights is None


def test_pairs_below_the_least_weight_are_left_out(records):
    manifest = Manifest("csv", Path("data"), tuple(weighted(records)))
    ids = [name for name, *_ in training_images(manifest, paired=True, crop=16, flip=True, min_weight=0.5).pairs]
    assert ids == ["0", "1", "2"] and [record.id for record in manifest.lighter("train", 0.5)] == ["3", "4"]
    light = Manifest("csv", Path("data"), tuple(replace(record, weight=0.3) for record in records))
    with pytest.raises(RestainError, match=r"data\.min_weight is 0\.4, .* expected at most 0\.3"):
        training_images(light, paired=True, crop=16, flip=True, min_weight=0.4)
