"""What a stranger may have written: policies as YAML, plans as files. It is refused in few words, or read."""

import ast
import dataclasses
import json
import os
import struct
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import augengine as ae
from augengine import checks, untrusted
from augengine.plan import file
from augengine.policy import ops
from augengine.policy.yaml import MOST_TEXT

HEAD = "augengine: 1\npolicy:\n"
MOST_MESSAGE = 1000


def refused(text, message=None):
    """The message with which a text is refused, which must be short."""
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        ae.Policy.from_yaml(text)
    briefly(caught.value)
    return str(caught.value)


def briefly(error, *kinds):
    """It is of one of these kinds, and no subclass such as UnicodeDecodeError, and says little."""
    assert type(error) in (kinds or (ValueError, TypeError))
    assert len(str(error)) < MOST_MESSAGE


# Policies


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("&a 3", r"line 3: anchors and aliases \(& and \*\) are not read"),
        ("*a", r"line 3: anchors and aliases"),
        ("{<<: {p: 1}}", r"line 3: got '<<'"),
        ("{a: 1, a: 2}", r"line 3: got a name twice in one mapping"),
        ("{1: 2}", r"line 3: got a key that is no name"),
        ("{[1]: 2}", r"line 3: got a key that is no name"),
        ("{? {a: 1} : 2}", r"line 3: got a key that is no name"),
        ("!!python/object/apply:os.system [exit]", r"line 3: the tag .*os\.system.* is not read"),
        ("!!binary aGk=", r"line 3: the tag .*binary"),
        ("!!set {a, b}", r"line 3: the tag .*set"),
        ("!mine 3", r"line 3: the tag '!mine'"),
        ("!!int [3]", r"line 3: got a value tagged as int, which it is not"),
        ("!!map [3]", r"line 3: got a value tagged as map, which it is not"),
        ("!!int three", r"line 3: got 'three'"),
        ("2001-01-01", r"line 3: got '2001-01-01'"),
        ("2001-01-01 00:00:00", r"line 3: got '2001-01-01 00:00:00'"),
        (".nan", r"line 3: got '\.nan'.*finite decimal numbers"),
        ("-.inf", r"line 3: got '-\.inf'"),
        ("1.0e+400", r"line 3: got '1\.0e\+400'"),
        ("0x1F", r"line 3: got '0x1F'"),
        ("017", r"line 3: got '017'"),
        ("1_000", r"line 3: got '1_000'"),
        ("1:30:30", r"line 3: got '1:30:30'"),
        ("'" + "x" * 300 + "'", r"line 3: an entry has more than 256 characters"),
        ("9" * 200, r"line 3: got '9+\.\.\.9+'"),
        ("true", r"RandomInvert\.p: got True, expected a number"),
        ("'0.5'", r"RandomInvert\.p: got '0\.5', expected a number"),
        ("1" + "0" * 60, r"RandomInvert\.p: got 1e\+60, expected a number in \[0, 1\]"),
        ("{}", r"RandomInvert\.p: got {}, expected a number"),
        ("0.5, stratify: {}", r"RandomInvert\.stratify: got {}, expected True or False"),
        ("0.5, stratify: 1", r"RandomInvert\.stratify: got 1, expected True or False"),
        ("0.5, stratify: null", r"RandomInvert\.stratify: got None, expected True or False"),
    ],
)
def test_an_argument_that_is_refused(argument, said):
    assert "from_yaml" in refused(f"{HEAD}- RandomInvert: {{p: {argument}}}\n", said)


@pytest.mark.parametrize(
    "text",
    [b"augengine: 1", None, 3, ["augengine: 1"], bytearray(b"a"), {"augengine": 1}],
    ids=repr,
)
def test_what_is_no_text_is_refused(text):
    with pytest.raises(TypeError, match=r"Policy\.from_yaml: got .*, expected text\. Decode bytes"):
        ae.Policy.from_yaml(text)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", "[]", "3", "augengine: true\npolicy: []", "augengine: 1.0\npolicy: []",
     "augengine: '1'\npolicy: []", "augengine: 2\npolicy: []", "--- a\n--- b", "%YAML 3.0\n--- a",
     "\x00", "\ud800", "a: b: c", "\ta: 1", "{", "]", "'", "augengine: 1\npolicy: []\nmore: 1",
     "augengine: 1\npolicy: {}", "augengine: 1\npolicy: [[]]", "augengine: 1\npolicy: [null]",
     "augengine: 1\npolicy: [Op: {}]", "augengine: 1\npolicy: [Stage: {module: x}]",
     "augengine: 1\npolicy: [__class__: {}]", "augengine: 1\npolicy: [RandomInvert: {self: 1}]",
     "augengine: 1\npolicy: [RandomInvert: {__init__: 1}]", "augengine: 1\npolicy: [RandomInvert: {'': 1}]",
     "augengine: 1\npolicy: [Compose: {transforms: {}}]", "augengine: 1\npolicy: [Compose: {transforms: []}]",
     "augengine: 1\npolicy: [Compose: {transforms: [RandomInvert]}]"],
    ids=repr,
)  # fmt: skip
def test_a_text_that_is_no_policy_is_refused(text):
    assert "Policy.from_yaml" in refused(text)


BOMBS = {
    "aliases": "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{p}, *{p}]\n" for p, c in pairwise("abcdefghi")),
    "lists": "[" * 60_000,
    "mappings": "{a: " * 15_000,
    "dashes": "- " * 30_000,
    "keys": "? " * 30_000,
    "tags": "%TAG !e! tag:" + "x" * 30_000 + "\n--- [" + "!e!a x," * 4_000 + "]",
    "ops in ops": HEAD + "- RandomApply: {transforms: [" * 2_000,
    "digits": HEAD + "- RandomRotation: {degrees: " + "9" * 60_000 + "}",
    "exponent": HEAD + "- RandomRotation: {degrees: 1.0e+" + "9" * 60_000 + "}",
    "text": HEAD + "- " + "x" * 60_000 + ": {}",
    "numbers": HEAD + "- Normalize: {std: 1, mean: [" + "1," * 30_000 + "]}",
    "names": HEAD + "- Normalize: {" + ",".join(f"a{i}: 1" for i in range(8_000)) + "}",
    "colons": "a: " * 20_000,
    "too long": HEAD + "- RandomInvert: {}\n" * 10_000,
    "10^400000": HEAD + "- RandomRotation: {degrees: 1" + "0" * 400_000 + "}",
}  # fmt: skip

READ_BOMBS = """
import json, resource, sys, augengine as ae
ae.Policy.from_yaml("augengine: 1\\npolicy: []")  # what it needs is loaded
used = resource.getrusage(resource.RUSAGE_SELF)
resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 60,) * 2)
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (256 << 20),) * 2)
for name, text in json.load(sys.stdin).items():
    try:
        ae.Policy.from_yaml(text)
    except (ValueError, TypeError) as error:
        print(name, len(str(error)))
"""


def test_bombs_end_soon_in_little_memory():
    """In a process that may take a minute and 256 MB for all of them."""
    code = [sys.executable, "-c", READ_BOMBS]
    done = subprocess.run(code, input=json.dumps(BOMBS), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lengths = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert lengths.keys() == BOMBS.keys()
    assert max(map(int, lengths.values())) < MOST_MESSAGE


def test_aliases_are_not_written():
    """PyYAML writes one where an object comes twice."""
    pair = (0.25, 0.75)
    op = ae.RandomResizedCrop(8, scale=pair)
    policy = ae.Policy([ae.OneOf([op, op], p=pair), ae.RandomResizedCrop(9, scale=pair)])
    assert "&" not in policy.to_yaml()
    assert ae.Policy.from_yaml(policy.to_yaml()) == policy


def test_what_is_too_long_to_be_read_is_not_written():
    policy = ae.Policy([ae.RandomInvert()] * 5_000)
    assert (
        len(ae.Policy.from_yaml(ae.Policy([ae.RandomInvert()] * 3_000).to_yaml()).transforms)
        == 3_000
    )
    with pytest.raises(
        ValueError, match=r"to_yaml: got a policy of 95,\d+ characters.*which from_yaml reads"
    ):
        policy.to_yaml()
    assert MOST_TEXT == 65_536


# Every argument of every op

NAMES = [name for name in ops.__all__ if name not in ("Op", "Stage", "Lambda")]
ARGUMENTS = [(name, f.name) for name in NAMES for f in dataclasses.fields(getattr(ops, name))]
NEEDED = {
    "size": "8", "degrees": "9", "transforms": "[RandomInvert: {}, RandomRotation: {degrees: 9}]", "bits": "4",
    "threshold": "100", "sharpness_factor": "2", "mean": "0.5", "std": "0.5", "min_size": "8", "max_size": "9",
    "target_size": "8", "padding": "2", "quality": "50", "dtype": "float32",
}  # fmt: skip
SCALARS = st.sampled_from([
    "0", "1", "2", "3", "-1", "64", "65", "1000", "1000000", "1048576", "1048577", "2147483647", "2147483648",
    "9223372036854775808", "1" + "0" * 62, "-" + "9" * 60, "0.0", "-0.0", "0.5", "1.0e-300", "1.0e+300",
    "-1.0e+300", "1.0e+400", ".nan", ".inf", "0x1F", "017", "1_0", "1:30", "true", "false", "null", "~",
    "''", "a", "'%d'",
    "random", "color", "bilinear", "nearest", "constant", "reflect", "timm", "torchvision", "source",
    "original", "3a", "weights", "imagenet", "cifar10", "2001-01-01", "<<", "=", "!!binary aGk=",
    "!!python/name:os.system",
    "!!str 3", "!!float 3", "&a 3", "*a", "RandomInvert: {}", "\"\\0\"", "\"\\u202e\"", "x" * 300,
])  # fmt: skip
KEYS = st.sampled_from(["a", "Rotate", "Color", "p", "1", "null", "[1]", "RandomInvert", "size"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(lambda parts: f"[{', '.join(parts)}]"),
        st.lists(st.tuples(KEYS, inner), max_size=3).map(
            lambda parts: "{" + ", ".join(f"{key}: {value}" for key, value in parts) + "}"
        ),
    ),
    max_leaves=8,
)


def policy_or_none(text):
    """The policy, which comes back from its own YAML, or None where the text is refused."""
    try:
        policy = ae.Policy.from_yaml(text)
    except (ValueError, TypeError) as error:
        briefly(error)
        return None
    again = ae.Policy.from_yaml(policy.to_yaml())
    assert again == policy
    assert repr(again) == repr(policy)
    return policy


def sampled(policy):
    """Its plan for some images, or None where the policy is not for such images."""
    try:
        plan = policy.sample(range(3), [(21, 30)] * 3, seed=1)
    except (ValueError, TypeError) as error:
        briefly(error)
        return None
    assert dataclasses.replace(plan) == plan
    assert all(len(plan.explain(i)) < 100_000 for i in range(3))
    return plan


@pytest.mark.parametrize("argument", ARGUMENTS, ids=".".join)
@given(value=VALUES)
def test_any_value_of_any_argument_is_taken_or_refused(argument, value):
    name, argument = argument
    given_ = {
        f.name: NEEDED[f.name]
        for f in dataclasses.fields(getattr(ops, name))
        if f.default is dataclasses.MISSING
    }
    arguments = ", ".join(f"{k}: {v}" for k, v in {**given_, argument: value}.items())
    policy = policy_or_none(f"{HEAD}- {name}: {{{arguments}}}\n- Resize: {{size: [6, 7]}}\n")
    policy = policy or policy_or_none(
        f"{HEAD}- Resize: {{size: [6, 7]}}\n- {name}: {{{arguments}}}\n"
    )
    if policy is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sampled(policy)


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    policy_or_none(text)
    policy_or_none(HEAD + text)
    policy_or_none(f"{HEAD}- RandomInvert: {{{text}}}")


WHOLE = ae.Policy(
    [ae.RandomCrop(8, padding=2), ae.OneOf([ae.RandomInvert(), ae.ColorJitter(0.4)])]
).to_yaml()


@given(
    place=st.integers(0, len(WHOLE) - 1),
    cut=st.integers(0, 9),
    put=st.text("[]{}:,&*!?-#'\"%@`|>\n \t0x", max_size=4),
)
def test_a_policy_with_a_place_changed_is_read_or_refused(place, cut, put):
    policy_or_none(WHOLE[:place] + put + WHOLE[place + cut :])


# What a policy may ask for


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CenterCrop: {size: 1048577}", r"1 or more\. Pass whole numbers of pixels, 1,048,576 at most"),
        ("Resize: {size: 8, max_size: 1048577}", r"1,048,576 pixels at most"),
        ("RandomCrop: {size: 8, padding: 1048577}", r"1,048,576 at most"),
        ("GaussianBlur: {kernel_size: 65537}", r"65,535 at most"),
        ("GaussianBlur: {kernel_size: []}", r"expected an odd number of pixels or two"),
        ("RandomErasing: {count: 65}", r"expected a whole number 1 … 64"),
        ("RandomErasing: {count: []}", r"expected a whole number 1 … 64"),
        ("RandomErasing: {value: 1.0e+300}", r"expected a number in \[-1e\+09, 1e\+09\]"),
        ("RandomErasing: {ratio: [1, 1.0e+300]}", r"ratio: got 1e\+300, expected a number in"),
        ("AugMix: {mixture_width: 65}", r"expected a whole number 1 … 64"),
        ("AugMix: {chain_depth: 65}", r"expected a whole number 1 … 64"),
        ("RandAugment: {num_ops: 65}", r"expected a whole number 0 … 64"),
        ("RandomRotation: {degrees: 1.0e+300}", r"expected a number in \[-1e\+09, 1e\+09\]"),
        ("RandomRotation: {degrees: 9, center: [1.0e+300, 0]}", r"expected a number in \[-1e\+09, 1e\+09\]"),
        ("ColorJitter: {brightness: 1.0e+300}", r"expected a number in \[0, 1e\+09\]"),
        ("Normalize: {mean: 0, std: 1.0e-300}", r"std above 0"),
        ("OneOf: {transforms: [RandomInvert: {}], p: [1.0e+300]}", r"expected a number in \[0, 1e\+09\]"),
    ],
)  # fmt: skip
def test_arguments_beyond_what_can_be_drawn(text, said):
    refused(f"{HEAD}- {text}", said)


def nested(levels, inner="RandomInvert: {}", op="RandomApply", more=""):
    for _ in range(levels):
        inner = f"{op}: {{transforms: [{inner}]{more}}}"
    return f"{HEAD}- {inner}"


def test_ops_in_ops_are_bounded():
    assert ae.Policy.from_yaml(nested(15)).transforms[0].places == 16
    refused(
        nested(16),
        r"got 17 ops on 17 levels, each turn of a SomeOf counted, expected at most 16,384 on 16",
    )
    turns = ", num_ops: 64"
    assert ae.Policy.from_yaml(nested(2, op="SomeOf", more=turns))
    refused(nested(3, op="SomeOf", more=turns), r"got 26\d,\d+ ops on 4 levels")
    op = ae.RandomInvert()
    for _ in range(13):  # 2¹³ ops, by 13 objects
        op = ae.Compose([op, op])
    with pytest.raises(ValueError, match=r"got 32,766 ops on 14 levels"):
        ae.Compose([op, op])


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ([ae.MixUp()] * 40, r"more than 1,024 layers lie on one image"),
        ([ae.CutMix()] * 20, r"more than 1,024 layers lie on one image"),
        ([ae.RandomErasing(1, count=64)] * 20, r"more than 1,024 layers lie on one image"),
        ([*[ae.RandomErasing(1, count=64)] * 3, ae.MixUp()], r"MixUp meets a partner of 192 boxes"),
        ([ae.SomeOf([ae.MixUp(), ae.CutMix()], 64)], r"layers lie on one image|MixUp meets a partner"),
        ([ae.RandAugment(64)] * 200, r"more than 1,024 operations happen to one image"),
        ([ae.RandomGamma(p=1)] * 1025, r"more than 1,024 operations happen to one image"),
        ([*[ae.RandomInvert(1)] * 900, ae.AugMix(3, 64, 64)], r"views of up to \d+ steps .* most 65,536 steps"),
        ([ae.RandomRotation((45, 45), expand=True)] * 99, r"grows to \d,\d+,\d+,\d+ pixels a side on its way"),
    ],
    ids=lambda value: None if isinstance(value, str) else f"{type(value[0]).__name__}s",
)  # fmt: skip
def test_what_a_plan_holds_is_bounded(policy, said):
    policy = ae.Policy.from_yaml(ae.Policy(policy).to_yaml())
    with pytest.raises(ValueError, match=said):
        policy.sample(range(4), [(32, 32)] * 4)


def test_an_edge_that_follows_another_is_bounded():
    with pytest.raises(
        ValueError,
        match=r"grows to 20,971,520,000 pixels a side on its way, expected 2,147,483,647",
    ):
        ae.Policy(ae.Resize(2**20)).sample([0], [(1, 20_000)])


# Numbers and text that come from elsewhere


def test_a_number_that_no_float_reaches():
    with pytest.raises(ValueError, match=r"degrees: got inf, expected"):
        ae.RandomRotation(10**5000)
    with pytest.raises(
        ValueError, match=r"got a very long int, expected a whole number in \[0, 9\]"
    ):
        checks.whole_number("here", 10**5000, 0, 9)


def test_what_came_is_shown_in_few_words():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**6, b"x" * 10**6, list(range(10**6)), {i: i for i in range(10**5)}, deep, 10**4000,
                  10**6000, [10**6000], np.zeros(10**6)):  # fmt: skip
        assert len(checks.shown(value)) < 500
    assert checks.shown([1, "a", (2.5, None)]) == "[1, 'a', (2.5, None)]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 10**5, "nested too deeply"),
        ("[" * 10**5 + "]" * 10**5, "nested too deeply"),
        ('{"a":' * 10**5, "nested too deeply"),
        ("1" * 65, "a number of 65 digits"),
        ("9" * 400_000, "a number of 400,000 digits"),
        ("-" + "9" * 5000, "a number of 5,001 digits"),
        ("1e999", "no finite number"),
        ("1." + "1" * 10**5, "no finite number"),
        ("NaN", "no finite number"),
        ("[-Infinity]", "no finite number"),
        ('{"a": 1, "a": 2}', "a name twice"),
        ('{"a": {"b": 1, "b": 1}}', "a name twice"),
        ("", "no JSON: Expecting value in line 1"),
        ("[1,\n2,\n", "no JSON: Expecting value in line 3"),
        ('"\n"', "no JSON: Invalid control character"),
        (b"\xff\xfe1", "no UTF-8 text"),
        (b"\xef\xbb\xbf1", "no JSON"),
        (" " * (2**20 + 1), "1,048,577 bytes of JSON, where 1,048,576 are the most"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_json_that_is_refused(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        untrusted.parse_json(text)
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 200


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
))  # fmt: skip
def test_honest_json_is_read(value):
    assert untrusted.parse_json(json.dumps(value)) == value
    assert untrusted.parse_json(json.dumps(value).encode()) == value


# Plans


@pytest.fixture(scope="module")
def plan():
    policy = ae.Policy(
        [ae.RandomResizedCrop(8), ae.GaussianBlur(3), ae.RandomEqualize(1), ae.CutMix()]
    )
    return policy.sample(range(4), [(12, 16)] * 4)


def header_of(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header, rest):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


def unread(data, said=None, where=ae.Plan.from_bytes):
    with pytest.raises(ValueError, match=said) as caught:
        where(data)
    briefly(caught.value, ValueError)
    assert "Save the plan again" in str(caught.value)


def test_the_helpers_make_a_plan(plan):
    assert ae.Plan.from_bytes(with_header(*header_of(plan.to_bytes()))) == plan


HUGE = 2**62


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"shape": [HUGE, 3, 3], "data_offsets": [0, 9 * HUGE]},
            "wrong in the tensor 'inv_matrix'",
        ),
        ({"shape": [0, HUGE, HUGE], "data_offsets": [0, 0]}, "wrong in the tensor 'inv_matrix'"),
        ({"shape": [-1, 3, 3]}, "wrong in the tensor"),
        ({"shape": [1.0, 3, 3]}, "wrong in the tensor"),
        ({"shape": [True, 3, 3]}, "wrong in the tensor"),
        ({"shape": ["1", 3, 3]}, "wrong in the tensor"),
        ({"shape": [1] * 60}, "wrong in the tensor"),
        ({"shape": 36}, "wrong in the tensor"),
        ({"shape": None}, "wrong in the tensor"),
        ({"data_offsets": [-36, 0]}, "wrong in the tensor"),
        ({"data_offsets": [36, 0]}, "wrong in the tensor"),
        ({"data_offsets": [0]}, "wrong in the tensor"),
        ({"data_offsets": [0, HUGE]}, "wrong in the tensor"),
        ({"data_offsets": "ab"}, "wrong in the tensor"),
        ({"dtype": "F128"}, "wrong in the tensor"),
        ({"dtype": ["F32"]}, "wrong in the tensor"),
        ({"more": 1}, "wrong in the tensor"),
    ],
    ids=str,
)
def test_a_header_that_lies_about_an_array(plan, change, said):
    header, rest = header_of(plan.to_bytes())
    header["inv_matrix"] |= change
    unread(with_header(header, rest), said)


def test_arrays_that_overlap_or_leave_gaps(plan):
    header, rest = header_of(plan.to_bytes())
    bytes_of = plan.source.nbytes
    overlapping = json.loads(json.dumps(header))
    begin = header["clip"]["data_offsets"][0]
    overlapping["source"]["data_offsets"] = [begin, begin + bytes_of]
    unread(with_header(overlapping, rest), "overlap, or leave gaps")
    unread(
        with_header(header, rest + bytes(1)),
        r"its tensors have [\d,]+ bytes by its header, and [\d,]+ follow",
    )
    unread(
        with_header(header, rest[:-1]),
        r"its tensors have [\d,]+ bytes by its header, and [\d,]+ follow",
    )
    unread(with_header(header, rest + bytes(2**20)), "follow")


@pytest.mark.parametrize("length", [0, 1, 2**20 + 1, 2**31, 2**63, 2**64 - 1])
def test_a_header_that_lies_about_its_length(plan, length):
    unread(struct.pack("<Q", length) + plan.to_bytes()[8:], "cut short|bytes, where|no JSON")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"{", b"[" * 10**5, b'{"a":' * 10**5, b'"' + b"x" * 10**6, b'{"a": {}}',
     b'{"__metadata__": 3}', b'{"__metadata__": {"a": 3}}', b'{"a": 3}', b'{"a": 1' + b"0" * 400_000 + b"}",
     b"\xff" * 99],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_a_header_that_is_none(text):
    unread(with_header(text, b""))
    unread(with_header(text, bytes(99)))


def test_a_header_of_very_many_arrays_is_refused(plan):
    header, rest = header_of(plan.to_bytes())
    header |= {f"a{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(10**5)}
    unread(with_header(header, rest), r"its header has [\d,]+ bytes, where 1,048,576 are the most")
    header = {name: header[name] for name in [*header][:5_000]}
    unread(with_header(header, rest), "lacks or adds a0, a1")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**60)
    | st.sampled_from(["%1000000000d", "%.1000000000f", "%*d", "%(a)s", "%s", "float32", "uint8", "%%d"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
PLACES = [(name,) for name in ("finish", "log_text", "seed", "epoch", "look", "policy", "version")]
PLACES += [("finish", field.name) for field in dataclasses.fields(ae.Finish)]
PLACES += [("log_text", 0), ("finish", "size", 0), ("finish", "mean", 0)]


@pytest.mark.parametrize("place", PLACES, ids=str)
@given(value=ANYTHING)
def test_anything_anywhere_in_a_plans_header_is_read_or_refused(place, value):
    plan = ae.Policy([ae.Resize((4, 4)), ae.Normalize(0.5, 0.5)]).sample([0], [(9, 9)])
    content = json.loads(json.dumps(file.header(plan)))
    inner = content
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    header, rest = header_of(plan.to_bytes())
    header["__metadata__"]["augengine.plan"] = json.dumps(content)
    try:
        loaded = ae.Plan.from_bytes(with_header(header, rest))
    except ValueError as error:
        briefly(error, ValueError)
        return
    assert len(loaded.explain(0)) < 1000
    assert len(repr(loaded)) < 2000
    assert ae.Plan.from_bytes(loaded.to_bytes()) == loaded


@given(data=st.data())
def test_a_plan_with_bytes_changed_is_read_or_refused(plan, data):
    changed = bytearray(plan.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([None, None, -1, 8, 100, len(changed) // 2]))
    try:
        loaded = ae.Plan.from_bytes(bytes(changed[:cut]))
    except ValueError as error:
        briefly(error, ValueError)
        return
    for i in range(len(loaded)):
        loaded.explain(i)


@pytest.mark.parametrize(
    "data", ["a plan", None, 3, [1], np.zeros(9)], ids=lambda value: type(value).__name__
)
def test_what_is_no_bytes_is_refused(data):
    with pytest.raises(
        TypeError, match=r"from_bytes: the data is a \w+, expected bytes\. Pass what to_bytes gave"
    ):
        ae.Plan.from_bytes(data)


def test_a_plan_of_views_of_bytes_is_read(plan):
    assert (
        ae.Plan.from_bytes(memoryview(plan.to_bytes()))
        == ae.Plan.from_bytes(bytearray(plan.to_bytes()))
        == plan
    )


def test_a_file_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, "/dev/zero"):
        unread(path, rf"Plan\.load: {path} is no regular file", ae.Plan.load)
    with pytest.raises(FileNotFoundError, match="gone"):
        ae.Plan.load(tmp_path / "gone")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    """A hole of a terabyte, which takes no room on the disk."""
    for head in (b"", struct.pack("<Q", 100) + b"{}", struct.pack("<Q", 2**40)):
        (tmp_path / "f").write_bytes(head)
        os.truncate(tmp_path / "f", 2**40)
        unread(tmp_path / "f", where=ae.Plan.load)


def test_no_pickle_on_any_path():
    """Nor anything else that runs what it reads: by name, anywhere in the package."""
    package = Path(ae.__file__).parent
    found = [
        f"{path.relative_to(package)}:{node.lineno}: {name}"
        for path in sorted(package.rglob("*.py"))
        if path != package / COMPILED
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in names_of(node)
        if name.rpartition(".")[2] in RUNS_WHAT_IT_READS or name in MODULES | CALLS
        if (path, name) != (package / TENSORS_ALONE, "torch.load")
    ]
    assert not found, "\n".join(found)
    calls = [
        node
        for node in ast.walk(ast.parse((package / TENSORS_ALONE).read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert len(calls) == 1
    told = {keyword.arg: ast.unparse(keyword.value) for keyword in calls[0].keywords}
    assert told["weights_only"] == "True"


# It reads the weights of an installed package by torch's reader of tensors, which refuses all else.
TENSORS_ALONE = "pipelines/packaged.py"
# It keeps what numba compiled, which is machine code in any case, in a folder that is this user's alone.
COMPILED = "kernels/cpu/cache.py"
# Of any module: what loads pickles or runs text.
RUNS_WHAT_IT_READS = {
    "Unpickler", "load_state", "load_accelerator_state", "load_custom_state", "read_pickle", "unsafe_load",
    "full_load", "UnsafeLoader", "FullLoader", "load_checkpoint", "resume_checkpoint", "memmap",
}  # fmt: skip
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {
    "torch.load", "torch.hub.load", "np.load", "numpy.load", "np.fromfile", "yaml.load", "yaml.load_all",
    "eval", "exec", "compile", "timm.models.load_state_dict", "torch.jit.load",
}  # fmt: skip


def names_of(node):
    """The names that a node imports, or the dotted name that it calls or reads."""
    if isinstance(node, ast.Import):
        yield from (alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module.partition(".")[0]
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute):
        yield ast.unparse(node)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield node.func.id


@pytest.mark.parametrize("line", ["import pickle", "from torch.hub import load", "torch.load(f)", "x = np.load",
                                  "from joblib import dump", "accelerator.load_state(f)", "eval(t)",
                                  "a.b.Unpickler(f)"])  # fmt: skip
def test_the_search_for_pickles_finds_them(line):
    names = [name for node in ast.walk(ast.parse(line)) for name in names_of(node)]
    assert any(
        name.rpartition(".")[2] in RUNS_WHAT_IT_READS or name in MODULES | CALLS for name in names
    )
