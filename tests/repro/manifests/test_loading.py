"""Strict YAML: every fault at its place, nothing surprising in, and nothing but ManifestError out.

Each file in ``bad_manifests`` holds one kind of error. Its first lines say what must be reported,
as ``#! line:column: field: problem``, one a fault, in order; a trailing ``...`` stands for any rest.
"""

import json
import math
import re
import unicodedata
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from repro.errors import ManifestError
from repro.manifests.loading import flow_text, flow_value, load
from repro.names import nearest_names

BAD = sorted((Path(__file__).parents[2] / "bad_manifests").glob("*.yaml"))


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class Step(_Model):
    name: Literal["training", "spectrum"]
    width: Annotated[float, Field(gt=0)] = 1.0
    epochs: tuple[int, ...] = ()
    tuned: bool = False


class Range(_Model):
    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low > self.high:
            raise ValueError("'low' is above 'high'")
        return self


class Manifest(_Model):
    schema_version: Literal[1]
    title: Annotated[str, Field(min_length=1)]
    note: str | None = None
    seeds: tuple[int, ...] = ()
    steps: tuple[Step, ...]
    range: Range | None = None


class Anything(_Model):
    value: Any


VALID = """\
# A comment.
schema_version: 1
title: A figure
note: ~
seeds: [3, -1, +2, 017]
steps:
  - name: training
    width: 2
    epochs: [0, 10]
    tuned: true
  - {name: spectrum, width: 1e-3}
range: {low: -.5, high: 1.}
"""


def write(folder: Path, content: str | bytes, name: str = "figure.yaml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def faults_of(path: Path, model: type[BaseModel] = Manifest) -> list[str]:
    """The faults of a file, without its path; each checked to be one readable line."""
    with pytest.raises(ManifestError) as caught:
        load(path, model)
    check_faults(caught.value, path)
    return [fault.removeprefix(f"{path}:") for fault in caught.value.faults]


def check_faults(error: ManifestError, path: Path) -> None:
    assert error.exit_status == 2
    assert error.faults
    assert str(error) == "\n".join(error.faults)
    for fault in error.faults:
        assert fault.startswith(f"{path}:")
        rest = fault.removeprefix(f"{path}:")
        assert re.match(r"[1-9][0-9]*:[1-9][0-9]*: .", rest), fault
        # One line, and nothing in it that a terminal would obey: no control, format or surrogate
        # characters, no line or paragraph separators.
        unfit = {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, fault))
        assert not unfit, repr(fault)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_manifest_is_refused_with_its_faults_at_their_places(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix("#! ") for line in lines if line.startswith("#! ")]
    assert expected
    received = faults_of(path)
    for fault, promised in zip(received, expected, strict=False):
        if promised.endswith("..."):
            assert fault.startswith(promised.removesuffix("..."))
        else:
            assert fault == promised
    assert len(received) == len(expected), received


def test_there_are_bad_manifests_of_every_kind():
    assert len(BAD) >= 30


def test_a_valid_manifest_is_read_with_the_scalars_of_yaml_1_2(tmp_path):
    document = load(write(tmp_path, VALID), Manifest)
    assert document.model == Manifest(
        schema_version=1,
        title="A figure",
        note=None,
        seeds=(3, -1, 2, 17),
        steps=(
            Step(name="training", width=2.0, epochs=(0, 10), tuned=True),
            Step(name="spectrum", width=0.001),
        ),
        range=Range(low=-0.5, high=1.0),
    )
    assert isinstance(document.model.steps[0].width, float)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("True", "True"),
        ("FALSE", "FALSE"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("NULL", "NULL"),
        ("1:30", "1:30"),
        ("22:30:00", "22:30:00"),
        ("2022-01-07", "2022-01-07"),
        ("017", 17),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("-7", -7),
        ("-999999999999999999", -999_999_999_999_999_999),
        ("+7", 7),
        ("999999999999999999", 999_999_999_999_999_999),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.0", -0.0),
        ("1.5e+2", 150.0),
        ("1e-999", 0.0),
        (".", "."),
        ("e3", "e3"),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("<<", "<<"),
        ("=", "="),
        ('"1"', "1"),
        ("'true'", "true"),
        ('"a\\tb\\u00e9"', "a\tb\u00e9"),
        ("a # comment", "a"),
        ("a#b", "a#b"),
        ("|\n  two\n  lines", "two\nlines"),
        (">\n  one\n  line", "one line"),
        ("\u03b7\u2016\u2207R\u2016\u00b2", "\u03b7\u2016\u2207R\u2016\u00b2"),
        ("[]", []),
        ("{}", {}),
        ("{a: [1, {b: c}]}", {"a": [1, {"b": "c"}]}),
        ("\n  - 1\n  - [2]", [1, [2]]),
    ],
)
def test_each_scalar_means_one_thing(tmp_path, text, expected):
    value = load(write(tmp_path, f"value: {text}"), Anything).model.value
    assert value == expected
    assert type(value) is type(expected)
    if isinstance(value, float):
        assert math.copysign(1, value) == math.copysign(1, expected)


@pytest.mark.parametrize("text", ["1e309", "-1e309", "1e999999999", "9" * 310 + "."])
def test_a_number_beyond_floats_is_refused(tmp_path, text):
    (fault,) = faults_of(write(tmp_path, f"value: {text}"), Anything)
    assert fault.startswith("1:8: value: ")
    assert "finite" in fault


@pytest.mark.parametrize("digits", [19, 20, 5000, 100_000])
def test_an_integer_beyond_64_bits_is_refused_however_long(tmp_path, digits):
    # Python itself refuses to read integers of more than 4300 digits.
    (fault,) = faults_of(write(tmp_path, f"value: {'9' * digits}"), Anything)
    assert fault == "1:8: value: more digits than a 64-bit integer has"


def test_marks_lead_to_every_field(tmp_path):
    path = write(tmp_path, VALID)
    document = load(path, Manifest)
    assert document.path == path
    assert document.fault(("steps", 1, "width"), "too small") == (
        f"{path}:11:29: steps.1.width: too small"
    )
    assert document.fault(("steps", 0), "odd") == f"{path}:7:5: steps.0: odd"
    assert document.fault((), "odd") == f"{path}:2:1: odd"
    # A field left at its default stands where its surroundings do.
    assert document.fault(("steps", 1, "tuned"), "odd") == f"{path}:11:5: steps.1.tuned: odd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8", 8),
        ("1e-3", 0.001),
        ("no", "no"),
        ("true", True),
        ("[0, 1,8]", [0, 1, 8]),
        ("pyhessian", "pyhessian"),
        ('"8"', "8"),
        ("{a: 1}", {"a": 1}),
    ],
)
def test_a_value_of_the_command_line_means_what_it_would_in_a_manifest(text, expected):
    value = flow_value(text)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "text",
    ["", "1, 2", "[0", "1]", "1] #", "1], [2", "*a", "&a 1", "!!str 1", "1e999", "{a: 1, a: 2}",
     "- 1\n- 2", "\x07", "\ud800", "9" * 30, "[" * 3000],
)  # fmt: skip
def test_what_is_no_single_flow_value_is_refused(text):
    with pytest.raises(ManifestError):
        flow_value(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (8, "8"),
        (1.0, "1.0"),
        (1e-5, "1e-05"),
        (True, "true"),
        ([0, 1], "[0, 1]"),
        ("autograd", "autograd"),
        ("8", '"8"'),
        ("true", '"true"'),
        ("a, b", '"a, b"'),
        ("", '""'),
        ("[a", '"[a"'),
        (None, "null"),
    ],
)
def test_a_value_is_written_as_it_is_read(value, expected):
    assert flow_text(value) == expected
    assert flow_value(expected) == value


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_endings_do_not_move_faults(tmp_path, ending):
    content = VALID.replace("width: 2", "width: two").replace("\n", ending)
    (fault,) = faults_of(write(tmp_path, content))
    assert fault.startswith("8:12: steps.0.width: ")


def test_a_byte_order_mark_is_no_part_of_the_first_field(tmp_path):
    assert load(write(tmp_path, b"\xef\xbb\xbf" + VALID.encode()), Manifest).model.title


def test_a_file_that_is_not_utf_8_is_refused_at_the_byte(tmp_path):
    content = b"schema_version: 1\ntitle: caf\xe9\n"
    (fault,) = faults_of(write(tmp_path, content))
    assert fault == "1:1: not UTF-8 text (byte 28)"
    assert content[28] == 0xE9


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_refused(tmp_path, encoding):
    assert len(faults_of(write(tmp_path, VALID.encode(encoding)))) == 1


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing but a comment\n", b"---\n", b"~"])
def test_a_file_without_fields_is_refused(tmp_path, content):
    assert faults_of(write(tmp_path, content)) == ["1:1: a manifest is a mapping of fields"]


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b[31m", "\x7f", "\ufffe"])
def test_control_characters_are_refused(tmp_path, character):
    assert len(faults_of(write(tmp_path, f"title: a{character}b\n"))) == 1


@pytest.mark.parametrize(
    "key", ['"\\e[31mred"', '"a\\nb"', '"a\\rb"', '"\\u202eright to left"', '"\\x07"']
)
def test_a_key_cannot_write_to_the_terminal(tmp_path, key):
    assert faults_of(write(tmp_path, f"{VALID}{key}: 1\n"))


def test_a_value_cannot_write_to_the_terminal(tmp_path):
    content = VALID.replace("width: 2", 'width: "\\e[31m\\n1:1: title: forged"')
    (fault,) = faults_of(write(tmp_path, content))
    assert fault.startswith("8:12: steps.0.width: ")


def test_a_tag_cannot_write_to_the_terminal(tmp_path):
    (fault,) = faults_of(write(tmp_path, VALID.replace("A figure", "!%1b%0a A figure")))
    assert fault.startswith("3:8: tags ")


def test_a_file_that_is_too_big_is_refused(tmp_path):
    path = write(tmp_path, VALID + "#" * 300_000)
    with pytest.raises(ManifestError, match=r"^/.+: cannot be read: larger than 262144 bytes$"):
        load(path, Manifest)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_three_thousand_levels_are_refused_at_the_first_too_many(tmp_path, opening):
    (fault,) = faults_of(write(tmp_path, "value: \n " + opening * 3000), Anything)
    assert "nested deeper than 24 levels" in fault
    assert fault.startswith("2:")


def test_nesting_is_counted_exactly(tmp_path):
    # The mapping at the top is one level.
    deepest = write(tmp_path, f"value: {'[' * 23}{']' * 23}\n")
    value = load(deepest, Anything).model.value
    for _ in range(22):
        (value,) = value
    assert value == []
    (fault,) = faults_of(write(tmp_path, f"value: {'[' * 24}{']' * 24}\n"), Anything)
    assert fault == "1:31: nested deeper than 24 levels"


def test_too_many_nodes_are_refused(tmp_path):
    content = "value: [" + "1," * 20_001 + "]\n"
    (fault,) = faults_of(write(tmp_path, content), Anything)
    assert "more than 20000 nodes" in fault


def test_a_billion_laughs_are_not_even_built(tmp_path):
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    faults = faults_of(write(tmp_path, "\n".join(lines)), Anything)
    assert len(faults) == 12 + 11 * 9  # every anchor and every alias


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path, kind):
    path = tmp_path / "figure.yaml"
    if kind == "folder":
        path.mkdir()
    with pytest.raises(ManifestError) as caught:
        load(path, Manifest)
    (fault,) = caught.value.faults
    assert fault.startswith(f"{path}: cannot be read: ")


def test_many_unknown_fields_are_all_reported(tmp_path):
    content = VALID + "".join(f"field{index}: 1\n" for index in range(500))
    faults = faults_of(write(tmp_path, content))
    assert len(faults) == 500
    assert faults[0].startswith("13:1: field0: unknown field")
    assert faults[-1].startswith("512:1: field499: unknown field")


def test_more_faults_than_anybody_reads_are_counted(tmp_path):
    content = VALID + "[0]: 1\n" * 1005
    faults = faults_of(write(tmp_path, content))
    assert len(faults) == 1001
    assert faults[-1] == "1:1: and 5 more faults"


def test_a_fault_that_quotes_what_is_very_long_is_short(tmp_path):
    content = VALID.replace("width: 2", f"width: {'x' * 100_000}")
    (fault,) = faults_of(write(tmp_path, content))
    assert "(found 'xxx" in fault
    assert len(fault) < 400


def test_faults_come_in_the_order_of_their_places(tmp_path):
    content = "".join(
        f"z{index}: [{{]\n" if index == 99 else f"z{index}: 1\n" for index in range(9)
    )
    faults = faults_of(write(tmp_path, content))
    lines = [int(fault.partition(":")[0]) for fault in faults]
    assert lines == sorted(lines)
    assert len(faults) >= 9


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("trainnig", " (did you mean training?)"),
        ("spectra", " (did you mean spectrum?)"),
        ("training", " (did you mean training?)"),
        ("colour", ""),
        ("", ""),
    ],
)
def test_the_nearest_names_are_offered_and_no_far_ones(name, hint):
    assert nearest_names(name, ["training", "spectrum"]) == hint


TOKENS = (
    *("schema_version", "title", "note", "seeds", "steps", "range", "name", "low", "high"),
    *("training", "1", "-2.5", "1e999", "9" * 30, ".inf", "true", "no", "null", "~", "x"),
    *(": ", ":", "- ", "? ", ", ", "[", "]", "{", "}", "\n", "\n  ", "\n    ", " ", "\t"),
    *("&a ", "*a", "!!str ", "!x ", "<<: ", "|", ">", "'", '"', "#", "%YAML 1.1", "---", "..."),
    *("\\", "\\n", "\\x", "\\U00110000", "\\ud800", "\\e", "@", "`", "\u2028", "\ufeff", "\x85"),
)

structured = st.lists(st.sampled_from(TOKENS), max_size=40).map("".join)


@st.composite
def damaged(draw):
    """A valid manifest with a few pieces cut out or put in."""
    text = VALID
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        text = text[:start] + draw(structured | st.text(max_size=5)) + text[start + length :]
    return text


contents = st.one_of(
    st.binary(max_size=200),
    st.one_of(st.text(max_size=200), structured, damaged()).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed")


@pytest.mark.parametrize("model", [Manifest, Anything])
@given(content=contents)
@settings(max_examples=250)
def test_whatever_is_in_a_file_only_a_manifest_error_comes_out(folder, model, content):
    path = write(folder, content)
    try:
        document = load(path, model)
    except ManifestError as error:
        check_faults(error, path)
    else:
        assert isinstance(document.model, model)
        assert () in document.marks


@given(content=damaged())
@settings(max_examples=100)
def test_what_loads_loads_again_the_same(folder, content):
    path = write(folder, content.encode("utf-8", "surrogatepass"))
    try:
        first = load(path, Manifest).model
    except ManifestError:
        return
    assert load(path, Manifest).model == first


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcdef", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=plain)
def test_json_is_read_as_json(folder, value):
    # JSON is YAML and means the same in both; beyond 16 bits it escapes in pairs, YAML does not.
    path = write(folder, json.dumps({"value": value}))
    assert load(path, Anything).model.value == value
