"""Recipes: what is allowed, what is refused by name, and what a file may build on."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

import restain.recipes
from restain.errors import RestainError
from restain.recipes import Recipe, differences, load_recipe, recipe_names, recipe_schema

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
    "pix2pix",
    "pix2pix-resnet",
    "pyramid-pix2pix",
    "cyclegan",
    "staingan",
    "reggan",
    "pspstain",
    "unit",
    "tdkstain",
    "syndiff-rgb",
    "oda-gan-reconstructed",
    "confusion-gan-reconstructed",
}


def test_every_published_row_ships_and_every_method_has_a_small_recipe() -> None:
    small = {name for name in recipe_names() if name.endswith("-small")} | {"tiny"}
    assert set(recipe_names()) >= PUBLISHED
    methods = {name: load_recipe(name).method.name for name in recipe_names()}
    assert {methods[name] for name in small} == set(methods.values())
    assert {f"{name}-small" for name in PUBLISHED} <= small
    for name in small - {"tiny"}:
        assert methods[name] == methods[name.removesuffix("-small")]
        assert load_recipe(name).data.crop == (64 if name == "restain-small" else 96)  # a batch of four of these


SIZES = {
    "generator": {"ngf", "blocks", "downs", "latent", "style"},
    "translator": {"ngf", "blocks"},
    "confusion": {"slots"},
    "pathology": {"steps"},
    "classifier": {"width"},
    "alignment": {"queue"},
    "discriminator": {"ndf", "layers", "scales"},
    "patches": {"count", "dim"},
    "diffusion": {"ramp_kimg"},
    "segmenter": {"width"},
    "prototypes": {"steps"},
    "structure": {"scales"},
    "registration": {"width", "downs"},
    "estimator": {"width", "blocks"},
    "data": {"crop"},
    "optim": {"epochs", "decay_epochs", "steps", "batch", "ema", "schedule.step_share"},
    "engine": {"workers"},
    "log": {"every", "samples", "checkpoint"},
    "validation": {"every", "fields", "crops"},
}


@pytest.mark.parametrize("name", [name for name in recipe_names() if f"{name}-small" in recipe_names()])
def test_a_small_recipe_is_its_system_in_another_size(name: str) -> None:
    allowed = {"name", "about"} | {f"{section}.{field}" for section, fields in SIZES.items() for field in fields}
    changed = differences(load_recipe(name).to_flat(), load_recipe(f"{name}-small").to_flat())
    assert changed.keys() <= allowed


@pytest.mark.parametrize("name", recipe_names())
def test_a_printed_recipe_reads_back_equal(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    (tmp_path / "printed.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "printed.yaml") == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_asp_dgrank_is_section_4_2() -> None:
    recipe = load_recipe("asp-dgrank")
    method: Any = recipe.method
    assert (method.gan.weight, method.patch_nce.weight, method.a2sp.weight, method.pyramid.weight) == (1, 10, 10, 10)
    assert (method.patches.layers, method.patches.count, method.patches.tau) == ((0, 4, 8, 12, 16), 256, 0.07)
    assert (recipe.optim.lr, recipe.optim.betas, recipe.optim.batch) == (2e-4, (0.5, 0.999), 1)
    assert (recipe.optim.epochs, recipe.optim.decay_epochs, recipe.data.crop) == (40, 5, 512)
    diffusion = method.diffusion
    assert (diffusion.beta_start, diffusion.beta_end, diffusion.sigma) == (1e-4, 2e-2, 0.05)
    assert (diffusion.t_min, diffusion.t_max) == (10, 1000)
    assert (recipe.to_flat()["generator"]["blocks"], method.discriminator.layers) == (6, 5)
    assert recipe.decay_start == pytest.approx(40 / 45)


def test_a_users_file_extends_and_overrides_merge_field_by_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: asp-dgrank\nname: mine\noptim: {lr: 1.0e-3}\ndata: {crop: 256}\n")
    recipe = load_recipe(path, ["optim.batch=4", "optim.lr=1e-4", "engine.precision=32", "data.stain=HER2"])
    assert set(differences(load_recipe("asp-dgrank").to_flat(), recipe.to_flat())) == {
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
        ("optim.lrr=1", r"unknown field optim\.lrr, did you mean lr\?; allowed here: lr, betas"),
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
        ("generator.kind=vit", r"field generator\.kind is 'vit'; expected 'resnet' or 'unet'"),
        ("generator.depth=3", r"unknown field generator\.depth; allowed here: kind, ngf, blocks"),
        ("generator.ngf=many", r"field generator\.ngf is 'many'; input should be a valid integer"),
        ("generator.kind=unet", r"field generator\.kind is 'unet'; expected 'resnet', whose encoder has contrastive"),
        ("cycle.weight=10", "unknown field cycle; allowed here: name, about, method"),
        ("data.crop=510", r"field data\.crop is 510; expected a multiple of 4, the stride of the generator"),
        ("patches.layers=[0, 18]", r"patches\.layers: contrastive layer 18 is not in the encoder.* layers 0 to 17"),
        ("optim.steps=0", r"field optim\.steps is 0; input should be greater than or equal to 1"),
        ("optim.schedule.kind=exponential", r"field optim\.schedule\.kind is 'exponential'"),
        ("validation.best=fid", r"field validation\.best is 'fid'"),
        ("log.trackers=[tensorbored]", r"field log\.trackers\.0 is 'tensorbored'"),
        ("diffusion.t_min=2000", r"diffusion\.t_min is 2000; expected at most diffusion\.t_max, 1000"),
    ],
)
def test_wrong_fields_and_values_are_named(override: str, words: str) -> None:
    with pytest.raises(RestainError, match=words) as error:
        load_recipe("asp-dgrank", [override])
    assert "\n" not in str(error.value)


def test_overrides_are_a_list_of_texts() -> None:
    for overrides, words in (
        ("optim.lr=1", "overrides: is the text 'optim.lr=1'; expected a list"),
        ({"optim.lr": 1}, "overrides: is the dictionary"),
        ([("optim.lr", 1)], "expected section.field=value"),
    ):
        with pytest.raises(RestainError, match=words):
            load_recipe("asp-dgrank", overrides)  # type: ignore[arg-type]


def test_a_run_needs_an_epoch() -> None:
    with pytest.raises(RestainError, match="expected an epoch"):
        load_recipe("tiny", ["optim.epochs=0", "optim.decay_epochs=0"])


def test_files_that_are_no_recipe_are_refused(tmp_path: Path) -> None:
    for name, text, words in (
        ("list.yaml", "- 1\n", "holds list; expected fields with values"),
        ("broken.yaml", "a: [1\n", "not valid YAML"),
        ("loop.yaml", f"extends: {tmp_path / 'loop.yaml'}\n", "extends itself"),
        ("orphan.yaml", "extends: nowhere\n", "no recipe named .*nowhere"),
        ("bare.yaml", "method: cycle\n", "field name is missing; field about is missing"),
        ("methodless.yaml", "name: a\n", "field method is missing; expected conditional or contrastive or cycle"),
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


VALID: dict[str, dict[str, Any]] = {name: load_recipe(name).model_dump() for name in ("asp-dgrank", "pix2pix", "tiny")}


@pytest.mark.parametrize(
    ("name", "section", "changes", "words"),
    [
        ("asp-dgrank", "data", {"crop": 510}, r"data\.crop is 510; expected a multiple of 4"),
        ("pix2pix", "data", {"crop": 272}, r"data\.crop is 272; expected a multiple of 256"),
        ("pix2pix", "data", {"paired": False}, r"data\.paired is false; expected true"),
        ("tiny", "data", {"crop": 32}, r"pyramid\.form asp needs at least 33 pixels"),
        ("tiny", "optim", {"epochs": 0, "decay_epochs": 0}, "expected an epoch"),
        ("asp-dgrank", "generator", {"blocks": 4}, "contrastive layer 16 is not in the encoder"),
        ("asp-dgrank", "method", {"patches": {"layers": (0, 30)}}, "contrastive layer 30 is not in the encoder"),
        ("asp-dgrank", "method", {"diffusion": {"t_min": 2000}}, r"t_min is 2000; expected at most diffusion\.t_max"),
        (
            "asp-dgrank",
            "method",
            {"discriminator": {"layers": 8}},
            r"discriminator\.layers 8 needs at least 768",
        ),
        ("tiny", "method", {"nonsense": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_recipe_made_in_python_is_held_to_the_same_rules(
    name: str, section: str, changes: dict[str, Any], words: str
) -> None:
    values = VALID[name]
    assert Recipe(**values) == load_recipe(name)
    with pytest.raises(ValidationError, match=words):
        Recipe(**{**values, section: {**values[section], **changes}})


def test_another_kind_of_generator_keeps_nothing_of_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: pix2pix\nname: mine\ngenerator: {kind: resnet, blocks: 9}\ndata: {crop: 256}\n")
    generator = load_recipe(path).to_flat()["generator"]
    assert generator == {**Recipe.model_fields["generator"].default.model_dump(), "blocks": 9}
    path.write_text("extends: pix2pix\nname: mine\ngenerator: {kind: unet, ngf: 32}\n")  # the same kind
    assert load_recipe(path).to_flat()["generator"] == {**load_recipe("pix2pix").to_flat()["generator"], "ngf": 32}
    changed = load_recipe("pix2pix", ["generator.kind=resnet", "generator.ngf=8"]).to_flat()["generator"]
    assert changed == {**Recipe.model_fields["generator"].default.model_dump(), "ngf": 8}


def shipped(name: str) -> dict[str, Any]:
    """A shipped file as it stands, without what it extends."""
    folder = Path(restain.recipes.__file__).parent
    values: dict[str, Any] = yaml.safe_load((folder / f"{name}.yaml").read_text())
    return values


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(recipe_schema())
    return jsonschema.Draft202012Validator(recipe_schema())


@pytest.mark.parametrize("name", recipe_names())
def test_the_schema_knows_every_shipped_file_and_every_printed_recipe(
    name: str, schema: jsonschema.Draft202012Validator
) -> None:
    schema.validate(shipped(name))
    schema.validate(yaml.safe_load(load_recipe(name).to_yaml()))


@pytest.mark.parametrize(
    "change",
    [
        {"optim": {"lrr": 1}},
        {"optin": {"lr": 1}},
        {"optim": {"lr": "fast"}},
        {"generator": {"kind": "vit"}},
        {"generator": {"kind": "unet", "blocks": 3}},
        {"a2sp": {"schedule": "cosine"}},
        {"engine": {"precision": 16}},
        {"cycle": {"weight": 10}},  # a section of another method
    ],
)
def test_the_schema_refuses_what_a_recipe_may_not_say(
    change: dict[str, Any], schema: jsonschema.Draft202012Validator
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        schema.validate({**shipped("asp-dgrank"), **change})


def test_the_schema_lets_a_file_change_single_fields(schema: jsonschema.Draft202012Validator) -> None:
    schema.validate({"extends": "asp-dgrank", "name": "mine", "generator": {"ngf": 32}, "engine": {"precision": 32}})


def test_every_field_says_what_it_is() -> None:
    def sections(part: Any) -> Any:
        if isinstance(part, dict):
            yield from ([part] if "properties" in part else [])
            for value in part.values():
                yield from sections(value)
        elif isinstance(part, list):
            for value in part:
                yield from sections(value)

    silent = [
        f"{section['title']}.{name}"
        for section in sections(recipe_schema())
        for name, field in section["properties"].items()
        if not {"description", "$ref", "const", "anyOf"} & field.keys()
    ]
    assert silent == []


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys\nimport restain.recipes as r\nfor name in r.recipe_names(): r.load_recipe(name)\n"
        "r.recipe_schema()\nprint(sorted({'torch', 'numpy', 'lightning_fabric'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
