from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restain.data.layouts import find_pairs
from restain.data.records import ImageRef, group_of
from restain.errors import RestainError

REAL = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.parametrize(
    ("layout", "source", "target", "splits"),
    [
        ("mist", "{split}A", "{split}B", ("train", "val")),
        ("mist", "{split}A", "{split}B", ("train", "test")),
        ("mist", "TrainValAB/{split}A", "TrainValAB/{split}B", ("train", "val")),
        ("bci", "HE/{split}", "IHC/{split}", ("train", "test")),
        ("bci-challenge", "{split}/HE", "{split}/IHC", ("train", "val", "test")),
        ("tdkstain", "{split}_HE", "{split}_IHC", ("train", "test")),
        ("tdkstain", "{split}_HE", "{split}_IHC", ("train", "val")),
    ],
)
def test_folder_layouts(write_image, tmp_path, layout, source, target, splits):
    for split in splits:
        for name in ("a", "deep/b"):
            write_image(f"{source.format(split=split)}/{name}.jpg")
            write_image(f"{target.format(split=split)}/{name}.png")  # partners may differ in suffix
    manifest = find_pairs(tmp_path)
    assert manifest.layout == layout
    assert manifest.splits() == list(splits)
    for split in splits:
        pairs = manifest.pairs(split)
        assert [pair.id for pair in pairs] == ["a", "deep/b"]
        assert pairs[1].source == ImageRef(tmp_path / source.format(split=split) / "deep/b.jpg")
        assert pairs[1].target == ImageRef(tmp_path / target.format(split=split) / "deep/b.png")


def test_target_chooses_between_variants_and_an_unknown_one_lists_them(write_image, tmp_path):
    for folder in ("trainA", "trainB", "trainB_cd3", "trainB_weak"):
        write_image(f"{folder}/a.png")
    assert find_pairs(tmp_path).pairs("train")[0].target == ImageRef(tmp_path / "trainB/a.png")
    assert find_pairs(tmp_path, "B_weak").pairs("train")[0].target == ImageRef(tmp_path / "trainB_weak/a.png")
    with pytest.raises(RestainError, match=r"no IHC folder such as trainC .* found: B, B_cd3, B_weak"):
        find_pairs(tmp_path, "C")
    with pytest.raises(RestainError, match="is the H&E itself"):
        find_pairs(tmp_path, "A")


def test_a_target_folder_may_have_any_name_in_the_bci_layout(write_image, tmp_path):
    for folder in ("HE", "IHC", "Ki67"):
        write_image(f"{folder}/train/a.png")
    assert find_pairs(tmp_path, "Ki67").pairs("train")[0].target == ImageRef(tmp_path / "Ki67/train/a.png")


def test_unpaired_names_become_two_pools(write_image, tmp_path):
    for name in ("trainA/1", "trainA/2", "trainB/x"):
        write_image(f"{name}.png")
    manifest = find_pairs(tmp_path)
    assert manifest.pairs("train") == []
    assert [record.id for record in manifest.sources("train")] == ["1", "2"]
    assert [record.id for record in manifest.targets("train")] == ["x"]


def test_side_by_side_halves_are_the_two_images(write_image, tmp_path):
    path = write_image("train/a.png", size=(20, 40))
    whole = np.asarray(Image.open(path))
    pair = find_pairs(tmp_path).pairs("train")[0]
    np.testing.assert_array_equal(pair.source.read(), whole[:, :20])
    np.testing.assert_array_equal(pair.target.read(), whole[:, 20:])
    assert pair.source.size() == pair.target.size() == (20, 20)


def _smooth(height: int, width: int, low: int, high: int) -> np.ndarray:
    ramp = np.linspace(low, high, width)[None, :, None] + np.zeros((height, 1, 3))
    return ramp.astype(np.uint8)


def test_side_by_side_images_that_are_not_square_need_a_visible_seam(tmp_path):
    (tmp_path / "train").mkdir()
    joined = np.hstack([_smooth(40, 30, 90, 120), _smooth(40, 30, 200, 230)])
    Image.fromarray(joined).save(tmp_path / "train/a.png")
    assert find_pairs(tmp_path).pairs("train")[0].source.size() == (40, 30)
    Image.fromarray(_smooth(40, 60, 90, 230)).save(tmp_path / "train/a.png")
    with pytest.raises(RestainError, match=r"a\.png: is 60 x 40 pixels and does not look like A\|B"):
        find_pairs(tmp_path)


def test_odd_width_is_refused_when_read(write_image):
    with pytest.raises(RestainError, match="31 pixels wide"):
        ImageRef(write_image("a.png", size=(8, 31)), "left").read()


def test_csv_manifest(write_image, tmp_path):
    write_image("slides/he.png")
    write_image("slides/ihc.png")
    (tmp_path / "manifest.csv").write_text(
        "id,source,target,split,group\none,slides/he.png,slides/ihc.png,train,S1\ntwo,slides/he.png,,val,\n"
    )
    for root in (tmp_path, tmp_path / "manifest.csv"):
        manifest = find_pairs(root)
        assert manifest.layout == "csv"
        assert [(r.id, r.split, r.group) for r in manifest.records] == [
            ("one", "train", "S1"),
            ("two", "val", None),
        ]
        assert manifest.pairs("train")[0].target == ImageRef(tmp_path / "slides/ihc.png")
        assert manifest.sources("val")[0].target is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,source,target\n", "has the columns id, source, target; missing split"),
        ("id,source,target,split\n,he.png,,train\n", "line 2: the id is empty"),
        ("id,source,target,split\na,he.png,,dev\n", "line 2: split is 'dev'; expected one of train, val, test"),
        ("id,source,target,split\na,,,train\n", "line 2: source and target are both empty"),
        ("id,source,target,split\na,no.png,,train\n", "line 2: source 'no.png' cannot be used: .*no.png: no such file"),
        ("id,source,target,split\na,he.png,,val\na,he.png,,val\n", "line 3: the id 'a' is there twice"),
        ("id,source,target,split\n", "holds no images"),
    ],
)
def test_bad_manifest_rows_are_named(write_image, tmp_path, text, message):
    write_image("he.png")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(RestainError, match=message):
        find_pairs(tmp_path)


def test_an_image_is_no_manifest_and_a_manifest_may_have_another_suffix(write_image, tmp_path):
    image = write_image("he.PNG")
    with pytest.raises(RestainError, match=r"he\.PNG: is an image; expected a folder or a CSV manifest"):
        find_pairs(image)
    (tmp_path / "list.txt").write_text("id,source,target,split\na,he.PNG,,train\n")
    assert find_pairs(tmp_path / "list.txt").layout == "csv"


def test_nothing_recognised_says_what_is_there_and_where_data_may_be(write_image, tmp_path):
    write_image("HER2/TrainValAB/trainA/a.png")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RestainError, match=r"it holds HER2/, notes\.txt, expected one of: MIST.*did you mean .*HER2\?"):
        find_pairs(tmp_path)
    with pytest.raises(RestainError, match="no such file or folder"):
        find_pairs(tmp_path / "nowhere")


def test_two_files_of_one_name_are_refused(write_image, tmp_path):
    for name in ("trainA/a.png", "trainA/a.jpg", "trainB/a.png"):
        write_image(name)
    with pytest.raises(RestainError, match=r"a\.png: has the same name as a\.jpg"):
        find_pairs(tmp_path)


def test_target_cannot_be_chosen_where_there_is_one(write_image, tmp_path):
    write_image("train/a.png", size=(8, 16))
    with pytest.raises(RestainError, match="has a single IHC; target 'B_weak'"):
        find_pairs(tmp_path, "B_weak")


def test_fingerprint_follows_names_and_sizes_but_not_the_place(write_image, tmp_path):
    for root in ("one", "two"):
        for folder in ("trainA", "trainB"):
            write_image(f"{root}/{folder}/a.png")
    one, two = tmp_path / "one", tmp_path / "two"
    assert find_pairs(one).fingerprint() == find_pairs(two).fingerprint()
    with (two / "trainB/a.png").open("ab") as file:
        file.write(b"x")
    assert find_pairs(one).fingerprint() != find_pairs(two).fingerprint()
    (one / "trainB/a.png").rename(one / "trainB/b.png")
    assert find_pairs(one).fingerprint() not in {find_pairs(two).fingerprint()}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("100M2004069_10_9", "100M2004069"),  # MIST: slide, row, column
        ("deep/1M2102018_3_12", "1M2102018"),
        ("10_10885_45506", "10885_45506"),  # HEMIT: tile, then the field
        ("14_18226_57650_M2", "18226_57650_M2"),
        ("00820_test_2+", None),  # BCI: running number and score, no slide
        ("tile_7", None),
    ],
)
def test_groups_are_read_off_names_only_where_the_name_tells(name, group):
    assert group_of(name) == group


@pytest.mark.skipif(not (REAL / "bci_sample").is_dir(), reason="shared/data/bci_sample is not beside the checkout")
def test_bci_files_are_jpeg_named_png():
    manifest = find_pairs(REAL / "bci_sample")
    assert manifest.layout == "bci"
    assert [pair.id for pair in manifest.pairs("test")] == ["00345_test_0", "00820_test_2+", "00901_test_1+"]
    assert manifest.pairs("test")[0].source.read().shape == (1024, 1024, 3)
