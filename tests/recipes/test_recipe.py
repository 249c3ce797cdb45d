"""Recipes: what is allowed, what is refused by name, and what a file may build on."""

from pathlib import Path

import pytest

from restain.errors import RestainError
from restain.recipes import Recipe, differences, load_recipe, recipe_names

PUBLISHED = {
    "asp-dgrank",
    "asp-dgrank-no-attention",
    "asp-dgrank-no-diffusion",
    "asp-dgrank-baseline",
    "asp-dgrank-unpaired",
    "asp-dgrank-unpaired-literal",
    "asp",
    "cut",
    "fastcut",
    "cut-lgp",
    "tiny",
}


def test_every_published_row_ships() -> None:
    assert set(recipe_names()) == PUBLISHED


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_printed_recipe_reads_back_equal(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    (tmp_path / "printed.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "printed.yaml") == recipe


def test_asp_dgrank_is_section_4_2() -> None:
    recipe = load_recipe("asp-dgrank")
    assert (recipe.gan.weight, recipe.patch_nce.weight, recipe.a2sp.weight, recipe.pyramid.weight) == (1, 10, 10, 10)
    assert (recipe.patches.layers, recipe.patches.count, recipe.patches.tau) == ((0, 4, 8, 12, 16), 256, 0.07)
    assert (recipe.optim.lr, recipe.optim.betas, recipe.optim.batch) == (2e-4, (0.5, 0.999), 1)
    assert (recipe.optim.epochs, recipe.optim.decay_epochs, recipe.data.crop) == (40, 5, 512)
    diffusion = recipe.diffusion
    assert (diffusion.beta_start, diffusion.beta_end, diffusion.sigma) == (1e-4, 2e-2, 0.05)
    assert (diffusion.t_min, diffusion.t_max) == (10, 1000)
    assert (recipe.generator.blocks, recipe.discriminator.layers) == (6, 5)
    assert recipe.decay_start == pytest.approx(40 / 45)


def test_a_users_file_extends_and_overrides_merge_field_by_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: asp-dgrank\nname: mine\noptim: {lr: 1.0e-3}\ndata: {crop: 256}\n")
    recipe = load_recipe(path, ["optim.batch=4", "optim.lr=1e-4", "engine.precision=32", "data.stain=HER2"])
    assert set(differences(load_recipe("asp-dgrank"), recipe)) == {
        "name",
        "optim.lr",
        "optim.batch",
        "data.crop",
        "data.stain",
    }
    assert recipe.optim.lr == 1e-4


def test_a_file_may_extend_a_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text("extends: tiny\nname: base\nseed: 5\n")
    (tmp_path / "top.yaml").write_text("extends: base.yaml\nname: top\n")
    assert load_recipe(tmp_path / "top.yaml").seed == 5
    monkeypatch.chdir(tmp_path)
    assert load_recipe("top.yaml").seed == 5
    monkeypatch.chdir("/")
    assert load_recipe((tmp_path / "top.yaml").relative_to("/")).seed == 5


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optim.lrr=1", r"unknown field optim\.lrr; allowed here: lr, betas"),
        ("nonsense=1", r"unknown field nonsense; allowed here: name, about, method"),
        ("optim.lr=fast", r"field optim\.lr is 'fast'; input should be a valid number"),
        ("optim.lr=0", r"field optim\.lr is 0; input should be greater than 0"),
        ("optim.lr=.inf", r"field optim\.lr is inf; input should be a finite number"),
        ("engine.precision=16", r"field engine\.precision is '16'; input should be '32' or 'bf16'"),
        ("a2sp.schedule=cosine", r"field a2sp\.schedule is 'cosine'; input should be 'lambda', 'linear'"),
        ("method=magic", "field method is 'magic'"),
        ("optim=3", "field optim is 3"),
        ("patches.layers=[]", r"field patches\.layers"),
        ("optim.betas=[0.5, 1.0]", r"field optim\.betas\.1 is 1\.0; input should be less than 1"),
        ("optim.betas=0.5", r"field optim\.betas is 0\.5"),
        ("optim.lr.deep=1", r"field optim\.lr is \{'deep': 1\}"),
        ("diffusion.sigma=-1", r"field diffusion\.sigma is -1"),
        ("diffusion.clean_fraction=1.5", r"field diffusion\.clean_fraction is 1\.5"),
        ("diffusion.beta_start=0.5", r"diffusion\.beta_start is 0\.5; expected at most diffusion\.beta_end, 0\.02"),
        ("diffusion.t_min=1", r"field diffusion\.t_min is 1; input should be greater than or equal to 2"),
        ("patches.count=0", r"field patches\.count is 0"),
        ("extends=cut", "unknown field extends"),
        ("optim.lr", "expected section.field=value"),
        ("optim.lr=[", "not valid YAML"),
        ("diffusion.t_min=2000", r"diffusion\.t_min is 2000; expected at most diffusion\.t_max, 1000"),
    ],
)
def test_wrong_fields_and_values_are_named(override: str, words: str) -> None:
    with pytest.raises(RestainError, match=words) as error:
        load_recipe("asp-dgrank", [override])
    assert "\n" not in str(error.value)


def test_a_run_needs_an_epoch() -> None:
    with pytest.raises(RestainError, match="expected an epoch"):
        load_recipe("tiny", ["optim.epochs=0", "optim.decay_epochs=0"])


def test_files_that_are_no_recipe_are_refused(tmp_path: Path) -> None:
    for name, text, words in (
        ("list.yaml", "- 1\n", "holds list; expected fields with values"),
        ("broken.yaml", "a: [1\n", "not valid YAML"),
        ("loop.yaml", f"extends: {tmp_path / 'loop.yaml'}\n", "extends itself"),
        ("orphan.yaml", "extends: nowhere\n", "no recipe named .*nowhere"),
        ("bare.yaml", "seed: 1\n", "field name is missing"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(RestainError, match=words):
            load_recipe(tmp_path / name)
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(RestainError, match=r"picture\.yaml: not valid YAML"):
        load_recipe(tmp_path / "picture.yaml")
    with pytest.raises(RestainError, match="recipes: asp, asp-dgrank"):
        load_recipe("asp-dgrunk")


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("tiny").seed = 3  # type: ignore[misc]
    assert Recipe.model_config["extra"] == "forbid"
