"""Text that is no prototxt, or has fields that do not exist."""

from __future__ import annotations

from tests.caffe.bad_input.cases import layer, refused

# A row holds what is wrong, the text, and words of the message.
TEXTS: list[tuple[str, str | bytes, list[str]]] = [
    (
        "an unknown field",
        "layer {\n pooling_parm { pool: MAX } }",
        ["net.prototxt:2:2", '"pooling_parm"', 'Did you mean "pooling_param"'],
    ),
    (
        "an unknown value",
        "layer { name: 'p'\n pooling_param { pool: MAXX } }",
        ["net.prototxt:2:24", '"MAXX"', 'Did you mean "MAX"', "(in layer 'p')"],
    ),
    (
        "a brace that is not closed",
        "layer { name: 'a'\n",
        ["net.prototxt:2:1", "a } is missing: the { of layer 'a' in line 1", "(in layer 'a')"],
    ),
    (
        "a brace that is missing between two layers",
        "name: 'n'\nlayer { name: 'a'\n  input_param { shape { dim: 1 } }\nlayer { name: 'b' }",
        ["net.prototxt:4:1", "a } is missing before 'layer'", "the { of layer 'a' in line 2"],
    ),
    ("a word for a number", "layer { top: 'x' loss_weight: many }", ["net.prototxt:1:31", "many"]),
    ("a string without end", "layer { name: 'a }", ["net.prototxt:1", "string"]),
    (
        "a field that is missing",
        layer("Clip", "x", "clip_param { min: 0 }"),
        ["net.prototxt", "clip_param.max"],
    ),
    ("no text", b"\x00\xff\x12garbage", ["net.prototxt:1:1"]),
]

CASES = [refused(f"prototxt: {what}", text, *words) for what, text, words in TEXTS]
