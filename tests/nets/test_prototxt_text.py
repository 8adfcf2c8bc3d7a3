"""The editable view of a prototxt, held against protobuf's own parser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from ul2q.nets.prototxt import PrototxtError, read_net, text_bytes
from ul2q.nets.prototxt_text import Block, Document, Field

if TYPE_CHECKING:
    from google.protobuf.message import Message

PROTOTXTS = sorted((Path(__file__).parents[2] / "prototxt").rglob("*.prototxt"))

NASTY = {
    "empty": "",
    "comment alone": '# name: "no" { [ \'',
    "CRLF": '# a\r\nname: "n"\r\n\r\nlayer {\r\n  name: "a"  # b\r\n}\r\n',
    "one line, no newline at the end": 'layer{name:"a"type:"ReLU"bottom:"x"}layer{name:"b"}',
    "angle brackets": "layer < name: 'a' convolution_param: < pad: 1 pad: 2 > >",
    "colon before a block": 'layer: { name: "a" }',
    "separators": 'name: "n"; input: "a", input: "b"; layer { name: "a", top: "b"; }, layer {}',
    "lists": "input: [\"a\", 'b'] input: [] input_shape [{ dim: [1, 2] }, < dim: 3 >]",
    "strings": """name: "a" 'b'\n  # between\n  "\\"\\'#{}\\x41\\101\\n" layer { name: 'q"' }""",
    "numbers": "layer { loss_weight: -1e-3 loss_weight: 1.5F loss_weight: -inf loss_weight: nan "
    "loss_weight: 2. loss_weight: 1E+2 } state { level: -0x1F }",
    "words": "force_backward: t state { phase: TEST stage: 'x' } debug_info: true",
    "comments in odd places": 'layer # {\n{ # }\nname # :\n: # "x"\n"a" # ;\n} # end',
    "other blanks": 'layer\t{\fname:\v"a"\t}\n\n\n',
    "letters beyond ASCII": 'name: "μL2Q"  # β',
    "nested": 'layer { transform_param { mean_value: 1 } include { phase: TRAIN not_stage: "s" } }',
}
TEXTS = {**NASTY, **{path.name: path.read_text(encoding="utf-8") for path in PROTOTXTS}}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_without_edits_the_text_is_the_same(text: str) -> None:
    assert str(Document(text)) == text


@pytest.mark.parametrize("path", PROTOTXTS, ids=lambda path: path.name)
def test_read_keeps_the_bytes(path: Path, tmp_path: Path) -> None:
    assert str(Document.read(path)).encode() == path.read_bytes()
    copy = tmp_path / "crlf.prototxt"
    copy.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert str(Document.read(copy)).encode() == copy.read_bytes()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_tree_is_that_of_protobuf(text: str) -> None:
    solver = text.lstrip("# \n").startswith(("net:", "The paper")) or "base_lr" in text
    message = caffe_pb2.SolverParameter() if solver else caffe_pb2.NetParameter()
    expected = text_format.Parse(text, message)
    built = type(message)()
    build(Document(text).root, built)
    # As text: a NaN is not equal to itself.
    assert text_format.MessageToString(built) == text_format.MessageToString(expected)


def build(block: Block, message: Message) -> None:
    """Set the fields of `message` one by one as the tree has them."""
    for entry in block.fields:
        field = message.DESCRIPTOR.fields_by_name[entry.name]
        target: Any = getattr(message, entry.name)
        if entry.block is not None:
            repeated = hasattr(target, "add")
            build(entry.block, target.add() if repeated else _present(target))
            continue
        # A scalar's text is given to protobuf by itself, strings decoded by the tree.
        text = repr_string(entry.string) if field.type == field.TYPE_STRING else entry.text
        one = text_format.Parse(f"{entry.name}: {text}", type(message)())
        message.MergeFrom(one)


def _present(message: Any) -> Any:
    message.SetInParent()
    return message


def repr_string(value: str) -> str:
    return '"' + "".join(f"\\{byte:03o}" for byte in value.encode()) + '"'


names = st.sampled_from(["name", "top", "layer", "unknown_param", "x1"])
blanks = st.sampled_from([" ", "\n", "\r\n", "\t", ' # c } "\n', "  "])
scalars = st.sampled_from(['"a"', "'b' \"c\"", "-1", "1.5e-3", "TRAIN", '"\\""', "0x1F", "- inf"])


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> tuple[str, list[Any]]:
    """A prototxt and what its tree must be: (name, text of the scalar or list of fields)."""
    text: str = draw(st.sampled_from(["", " ", "# c\n"]))
    tree: list[Any] = []
    for name in draw(st.lists(names, max_size=4)):
        if depth and draw(st.booleans()):
            inner, fields = draw(texts(depth - 1))
            opening, closing = draw(st.sampled_from([("{", "}"), ("<", ">")]))
            colon = draw(st.sampled_from(["", ":"]))
            text += f"{name}{colon}{draw(blanks)}{opening}{inner}{closing}"
            tree.append((name, fields))
        else:
            scalar = draw(scalars)
            text += f"{name}{draw(st.sampled_from(['', ' ']))}:{draw(blanks)}{scalar}"
            tree.append((name, scalar))
        text += draw(st.sampled_from(["", ";", ","])) + draw(blanks)
    return text, tree


def as_lists(block: Block) -> list[Any]:
    return [
        (entry.name, as_lists(entry.block) if entry.block else entry.text) for entry in block.fields
    ]


@settings(deadline=None)
@given(texts())
def test_any_text_round_trips_and_gives_its_tree(made: tuple[str, list[Any]]) -> None:
    text, tree = made
    document = Document(text)
    assert str(document) == text
    assert as_lists(document.root) == tree


@settings(deadline=None)
@given(texts(), st.data())
def test_removing_fields_leaves_the_others(
    made: tuple[str, list[Any]], data: st.DataObject
) -> None:
    document = Document(made[0])
    fields = document.root.fields
    doomed = data.draw(st.sets(st.sampled_from(range(len(fields))))) if fields else set()
    for i in doomed:
        document.remove(fields[i])
    kept = [one for i, one in enumerate(made[1]) if i not in doomed]
    assert as_lists(Document(str(document)).root) == kept


@settings(deadline=None)
@given(texts())
def test_appending_works_in_every_block(made: tuple[str, list[Any]]) -> None:
    document = Document(made[0])
    blocks = [entry.block for entry in document.root.fields if entry.block]
    for block in blocks:
        document.append(block, "new: 1")
        document.append(block, "new: 2")
    expected = [
        (name, [*value, ("new", "1"), ("new", "2")] if isinstance(value, list) else value)
        for name, value in made[1]
    ]
    assert as_lists(Document(str(document)).root) == expected


def layers(document: Document) -> list[Block]:
    return [entry.block for entry in document.root.all("layer") if entry.block]


def found(block: Block, name: str) -> Field:
    entry = block.get(name)
    assert entry
    return entry


def test_fields_know_where_they_stand() -> None:
    text = 'name: "n"\nlayer {\n  # note\n  top: ["a", "b"] ; top: "c"\n}\n'
    document = Document(text, "net.prototxt")
    (layer,) = document.root.all("layer")
    assert layer.line == 2
    assert layer.block
    assert layer.block.get("bottom") is None
    tops = layer.block.all("top")
    assert [(top.string, top.line) for top in tops] == [("a", 4), ("b", 4), ("c", 4)]
    assert [text[top.start : top.end] for top in tops] == ['top: ["a", "b"] ;'] * 2 + ['top: "c"']
    assert [text[top.value_start : top.value_end] for top in tops] == ['"a"', '"b"', '"c"']
    error = document.error(tops[2].start, "no")
    assert str(error) == "net.prototxt:4:21: no"


# (before, edit of the first layer's block, after)
REMOVE = {
    "own line": ("layer {\n  w: 1\n  x: 2\n}\n", "layer {\n  x: 2\n}\n"),
    "own line, CRLF": ("layer {\r\n  w: 1\r\n  x: 2\r\n}\r\n", "layer {\r\n  x: 2\r\n}\r\n"),
    "comment behind": ("layer {\n  w: 1  # c\n  x: 2\n}\n", "layer {\n  # c\n  x: 2\n}\n"),
    "comment behind a neighbour": ("layer {\n  x: 2 w: 1  # c\n}\n", "layer {\n  x: 2 # c\n}\n"),
    "block of lines": ("layer {\n  w {\n    a: 1 # c\n  }\n  x: 2\n}\n", "layer {\n  x: 2\n}\n"),
    "first of a line": ("layer { w: 1 x: 2 }", "layer { x: 2 }"),
    "middle of a line": ("layer { x: 2 w: 1; y: 3 }", "layer { x: 2 y: 3 }"),
    "last of a line": ("layer { x: 2 w: 1 }", "layer { x: 2 }"),
    "the only one": ("layer { w: 1 }", "layer { }"),
    "end of a line": ("layer { x: 2 w: 1\n  y: 3 }", "layer { x: 2\n  y: 3 }"),
    "before a brace": ("layer { x: 2\n  w: 1 }", "layer { x: 2\n  }"),
    "two on a line": ("layer {\n  w: 1 w: 2\n  x: 2\n}", "layer {\n  x: 2\n}"),
    "two on two lines": ("layer {\n  w: 1\n  w: 2\n  x: 2\n}", "layer {\n  x: 2\n}"),
    "a list": ("layer {\n  w: [1, 2]\n  x: 2\n}", "layer {\n  x: 2\n}"),
    "no blanks": ('layer{x:"a"w:1 y:"b"}', 'layer{x:"a"y:"b"}'),
}


@pytest.mark.parametrize(("before", "after"), REMOVE.values(), ids=REMOVE)
def test_remove(before: str, after: str) -> None:
    document = Document(before)
    for entry in layers(document)[0].all("w"):
        document.remove(entry)
    assert str(document) == after


APPEND = {
    "lines": ("layer {\n  x: 2\n}\n", "layer {\n  x: 2\n  q { b: 1 }\n}\n"),
    "tabs, CRLF": ("layer {\r\n\tx: 2\r\n}", "layer {\r\n\tx: 2\r\n\tq { b: 1 }\r\n}"),
    "comments at the end": (
        "layer {\n    x: 2  # c\n    # d\n}\n",
        "layer {\n    x: 2  # c\n    # d\n    q { b: 1 }\n}\n",
    ),
    "one line": ("layer { x: 2 }", "layer { x: 2 q { b: 1 } }"),
    "one line without blanks": ("layer{x:2}", "layer{x:2 q { b: 1 }}"),
    "angle brackets": ("layer < x: 2; >", "layer < x: 2; q { b: 1 } >"),
    "brace behind the last field": (
        "layer { x: 2\n  y { z: 3 } }\n",
        "layer { x: 2\n  y { z: 3 }\n  q { b: 1 } }\n",
    ),
    "empty": ("layer {}", "layer { q { b: 1 } }"),
    "empty, with a blank": ("layer { }", "layer { q { b: 1 } }"),
    "empty, two lines": ("  layer {\n  }", "  layer {\n    q { b: 1 }\n  }"),
    "the only field removed": ("layer { w: 1 }", "layer { q { b: 1 } }"),
    "the last field removed": ("layer { x: 1 w: 1 }", "layer { x: 1 q { b: 1 } }"),
    "lines, the last removed": ("layer {\n  x: 2\n  w: 1\n}", "layer {\n  x: 2\n  q { b: 1 }\n}"),
}


@pytest.mark.parametrize(("before", "after"), APPEND.values(), ids=APPEND)
def test_append(before: str, after: str) -> None:
    document = Document(before)
    (block,) = layers(document)
    document.append(block, "q { b: 1 }")
    for entry in block.all("w"):
        document.remove(entry)
    assert str(document) == after


INSERT = {
    "lines": (
        "layer {\n    x: 2\n}  # c\nlayer { y: 1 }\n",
        "layer {\n    x: 2\n}  # c\nlayer {\n    a: 1\n    b: 2\n}\nlayer { y: 1 }\n",
    ),
    "CRLF": (
        "layer {\r\n  x: 2\r\n}\r\n",
        "layer {\r\n  x: 2\r\n}\r\nlayer {\r\n  a: 1\r\n  b: 2\r\n}\r\n",
    ),
    "one line": ("layer { x: 2 }\n# c\n", "layer { x: 2 }\nlayer { a: 1 b: 2 }\n# c\n"),
    "no newline at the end": ("layer { x: 2 }", "layer { x: 2 }\nlayer { a: 1 b: 2 }"),
    "one line for all": (
        "layer { x: 2 } layer { y: 1 }",
        "layer { x: 2 } layer { a: 1 b: 2 } layer { y: 1 }",
    ),
    "indented": (" layer { x: 2 }\n", " layer { x: 2 }\n layer { a: 1 b: 2 }\n"),
}


@pytest.mark.parametrize(("before", "after"), INSERT.values(), ids=INSERT)
def test_insert_after(before: str, after: str) -> None:
    document = Document(before)
    document.insert_after(document.root.fields[0], "layer", ["a: 1", "b: 2"])
    assert str(document) == after


def test_edits_go_together_in_any_order() -> None:
    document = Document('layer {\n  type: "A"  # was\n  bottom: ["x", "y"]\n  old { a: 1 }\n}\n')
    (layer,) = document.root.fields
    block = layers(document)[0]
    document.insert_after(layer, "layer", ['type: "C"'])
    document.append(block, "last: 1")
    document.set(found(found(block, "old").block or block, "a"), "2")
    document.replace(found(block, "old"), "new { a: 3 }")
    document.set(block.all("bottom")[1], '"z"')
    document.set(found(block, "type"), '"B"')
    document.set(found(block, "type"), '"QuantizedB"')
    assert str(document) == (
        'layer {\n  type: "QuantizedB"  # was\n  bottom: ["x", "z"]\n  new { a: 3 }\n  last: 1\n}\n'
        'layer {\n  type: "C"\n}\n'
    )


def test_edits_inside_a_removed_field_go_with_it() -> None:
    document = Document("layer {\n  a { w: 1 x: 2 }\n}\nname: 'n'\n")
    (layer,) = document.root.all("layer")
    block = layers(document)[0]
    inner = found(block, "a").block
    assert inner
    document.remove(found(inner, "w"))
    document.set(found(inner, "x"), "3")
    document.append(inner, "y: 4")
    document.remove(layer)
    document.remove(found(block, "a"))
    assert str(document) == "name: 'n'\n"


BAD = {
    "open block": ("layer {\n  name: 'a'\n", ":3:1: ", "the { of line 1"),
    "open angle": ("layer <\n}", ":2:1: ", "found }"),
    "brace too many": ("layer { }\n }", ":2:2: ", "found }"),
    "no value": ("layer {\n  name: }", ":2:9: ", "expected a value, found }"),
    "no colon": ("name 'a'", ":1:6: ", "expected : or {"),
    "open string": ('name: "a\nlayer {}', ":1:7: ", "closing quote"),
    "open list": ("dim: [1, 2", ":1:11: ", "expected , or ]"),
    "list without commas": ("dim: [1 2]", ":1:9: ", "expected , or ]"),
    "extension": ("[a.b.c]: 1", ":1:1: ", "extensions"),
    "letter": ("name: $", ":1:7: ", "'$'"),
    "number as a name": ("1: 2", ":1:1: ", "the name of a field"),
    "byte order mark": ("\ufeffname: 'a'", ":1:1: ", "byte order mark"),
    "depth": ("a {" * 101 + "}" * 101, ":1:303: ", "more than 100"),
}


@pytest.mark.parametrize(("text", "place", "words"), BAD.values(), ids=BAD)
def test_bad_text(text: str, place: str, words: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        Document(text, "bad.prototxt")
    assert str(caught.value).startswith("bad.prototxt" + place)
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["1", "relu", "{ a: 1 }", '"\\xff"'])
def test_string_of_another_value(value: str) -> None:
    with pytest.raises(PrototxtError, match=r"name is .*; it must be a string"):
        _ = Document(f"name: {value}").root.fields[0].string


def test_read_refuses_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        Document.read(tmp_path / "gone.prototxt")
    weights = tmp_path / "net.caffemodel"
    weights.write_bytes(b"name")
    with pytest.raises(PrototxtError, match=r"net\.caffemodel holds weights; give a prototxt"):
        Document.read(weights)
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"name\xff\0")
    with pytest.raises(PrototxtError, match=r"net\.prototxt: .*byte 4"):
        Document.read(path)


# A comment in an encoding, and the file's bytes.
COMMENTS = {
    "GBK": "\u53ea\u5bf9\u6570\u636e\u91cf\u5316 {\u4e02}".encode(
        "gbk"
    ),  # the last one ends in an "@"
    "Latin-1": "dépôt".encode("latin-1"),
    "Shift JIS": "\u30bd\u8868".encode("shift_jis"),  # each of them ends in a backslash
}


@pytest.mark.parametrize("comment", COMMENTS.values(), ids=COMMENTS)
def test_comments_may_be_in_any_encoding(tmp_path: Path, comment: bytes) -> None:
    path = tmp_path / "net.prototxt"
    content = b"# " + comment + b'\nlayer {\n  name: "#\xc3\xa9"  # ' + comment + b"\n}\n"
    path.write_bytes(content)
    document = Document.read(path)
    (entry,) = document.root.all("layer")
    assert entry.block is not None
    assert entry.block.fields[0].string == "#\xe9"
    assert text_bytes(str(document)) == content
    document.set(entry.block.fields[0], '"other"')
    assert text_bytes(str(document)) == content.replace(b'"#\xc3\xa9"', b'"other"')
    assert read_net(path).layer[0].name == "#\xe9"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'name: "caf\xe9"\n', "1:11"),
        (b'# \xe9\nname: "# \xe9"\n', "2:10"),
        (b"# it's\nlayer { \xe9 }", "2:9"),
    ],
)
def test_other_encodings_outside_of_comments_are_told(
    tmp_path: Path, content: bytes, place: str
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes(content)
    with pytest.raises(PrototxtError, match=rf"net\.prototxt:{place}: .*not UTF-8.*save the file"):
        Document.read(path)
