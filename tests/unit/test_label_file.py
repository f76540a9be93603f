"""Labels files: whatever is written is read back, and whatever is wrong is told with its place."""

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compose.label_cells import KNOWN, LabelValue, cell_of, column_for, read_tags, same, tags_cell
from compose.label_file import Row, read_csv, read_json_lines
from compose.photo_matching import match_rows
from compose.photo_sources import FoundPhoto

MOST = 2**53
HEADER = "image,can_receive_water,volume_min,volume_max"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
values = st.one_of(
    texts,
    st.sampled_from(
        [" a ", "7", "07", "1e3", "-0", "true", "TRUE", "yes", '"', '"7"', '"a', "a;b", "\r", "\n\r\n", "1,5"]
    ),
    st.booleans(),
    st.integers(-MOST, MOST),
    st.floats(-MOST, MOST),
)
names = st.one_of(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), st.sampled_from([*KNOWN, "file"]))
images = texts.map(lambda text: f"a{text}.jpg")
tags = texts.map(str.strip).filter(
    lambda tag: tag and all(ord(char) >= 0xA0 or 0x20 <= ord(char) < 0x7F for char in tag)
)
labels_of_one = st.dictionaries(names, values, max_size=6).filter(
    lambda labels: not _is_upside_down(labels, "volume") and not _is_upside_down(labels, "temperature")
)
tables = st.lists(
    st.tuples(images, labels_of_one, st.lists(tags, max_size=4, unique=True)), max_size=5, unique_by=lambda row: row[0]
)


def _is_upside_down(labels: Mapping[str, LabelValue], name: str) -> bool:
    low, high = labels.get(f"{name}_min"), labels.get(f"{name}_max")
    return isinstance(low, int | float) and isinstance(high, int | float) and low > high


def written(table: Sequence[tuple[str, Mapping[str, LabelValue], Sequence[str]]]) -> bytes:
    """Write a table as a CSV."""
    rows: list[dict[str, str]] = []
    for image, labels, tagged in table:
        columns = {name: column_for(name, value) for name, value in labels.items()}
        cells = {columns[name].name: cell_of(columns[name], value) for name, value in labels.items()}
        rows.append({"image": image, "tags": tags_cell(tagged)} | cells)
    stream = StringIO(newline="")
    header = ["image", "tags", *sorted({name for row in rows for name in row} - {"image", "tags"})]
    writer = csv.DictWriter(stream, header, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def alike(one: Mapping[str, LabelValue], other: Mapping[str, LabelValue]) -> bool:
    return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())


def faults(content: bytes | str) -> list[str]:
    table = read_csv(content.encode() if isinstance(content, str) else content)
    return [fault.sentence for fault in table.faults]


def json_faults(*lines: str) -> list[str]:
    return [fault.sentence for fault in read_json_lines("\n".join(lines).encode()).faults]


@settings(max_examples=60)
@given(tables)
@example([("a.jpg", {"lab": "7"}, ["a;b", 'c"d'])])
def test_any_table_that_is_written_is_read_back(
    table: Sequence[tuple[str, Mapping[str, LabelValue], Sequence[str]]],
) -> None:
    found = read_csv(written(table))
    assert found.faults == []
    assert [(row.image, list(row.tags)) for row in found.rows] == [
        (image.strip(), tagged) for image, _, tagged in table
    ]
    for row, (_, labels, _) in zip(found.rows, table, strict=True):
        assert alike(row.labels, labels), (row.labels, labels)


@given(st.dictionaries(names.filter(lambda name: name not in KNOWN), values, max_size=5), images)
def test_any_labels_in_a_json_line_are_read_as_they_are(labels: dict[str, LabelValue], image: str) -> None:
    members = {"image": image} | {f"label:{name}": value for name, value in labels.items()}
    found = read_json_lines(json.dumps(members).encode())
    assert found.faults == []
    assert alike(found.rows[0].labels, labels)


@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(lambda text: f"{HEADER}\n{text}".encode("utf-8", "replace"))
    )
)
def test_arbitrary_bytes_are_rows_or_faults_and_never_an_accident(content: bytes) -> None:
    for read in (read_csv, read_json_lines):
        table = read(content)
        assert all(fault.sentence.isprintable() for fault in table.faults), table.faults


def test_the_names_that_comparisons_read_are_read() -> None:
    head = "image,can_receive_water,child_present,container,contents,volume_min,volume_max,temperature_min"
    table = read_csv(
        f'{head},temperature_max,label:lab,tags\r\ncup.jpg,Yes,FALSE,"cup, big",,100,250.5,-5,90,x7,a; b\r\n'.encode()
    )
    labels = {
        "can_receive_water": True,
        "child_present": False,
        "container": "cup, big",
        "volume_min": 100,
        "volume_max": 250.5,
        "temperature_min": -5,
        "temperature_max": 90,
        "lab": "x7",
    }
    assert (table.faults, table.rows) == ([], [Row(line=2, image="cup.jpg", labels=labels, tags=["a", "b"])])


def test_everything_that_is_wrong_is_told_with_its_line_and_column() -> None:
    content = (
        f"{HEADER},child_present\n"
        "a.jpg,yes,100,2oo,no\n"
        '"b\n.jpg",perhaps,-1,300,\n'
        "\n"
        "c.jpg,no\n"
        "a.jpg,no,,,\n"
        ",no,,,\n"
        "d.jpg,no,300,200,\n"
        "e.jpg,no,99999999999999999,,\n"
    )
    assert faults(content) == [
        'line 2, volume_max: "2oo" is not a number',
        'line 3, can_receive_water: "perhaps" is neither yes nor no',
        'line 3, volume_min: "-1" is less than 0 ml',
        "line 6: it has 2 cells, and the header 5",
        "line 8, image: it is empty",
        "line 9, volume_min: 300 is more than volume_max, 200",
        'line 10, volume_min: "99999999999999999" is not a number',
    ]
    assert faults("image,container\na.jpg,x\nb.jpg,x\na.jpg,y\n") == ['line 4, image: "a.jpg" is in line 2 already']


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \r\n", "the file is empty"),
        ("image,container\n".encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        ("image,container\n".encode("utf-32"), "the file is UTF-32; save it as UTF-8"),
        (
            "image,container\n".encode("utf-16-le"),
            "the file is perhaps UTF-16: it has NUL characters; save it as UTF-8",
        ),
        (b"image\na\0.jpg\n", "the file is no text: it has NUL characters; save it as UTF-8"),
        (
            "image,contents\na.jpg,Tee\nb.jpg,grüner Tee".encode("cp1252"),
            "the file is not UTF-8 but perhaps Windows-1252 (line 3 has the byte 0xfc); save it as UTF-8",
        ),
        (b"image;container\na.jpg;cup\n", "line 1: its columns are separated by ';'; save the file with commas"),
        (b"container\ncup\n", "line 1: there is no column image, which names the photo of each row"),
        (b"image,container,container\n", "line 1, container: this column is there twice"),
        (b"image,container,\n", "line 1: column 3 has no name"),
        (
            b"image,colour\n",
            "line 1, colour: there is no such column: image, tags, can_receive_water, child_present, container,"
            " contents, volume_min, volume_max, temperature_min, temperature_max, or label:colour for a label of your"
            " own",
        ),
        (
            b"image,file\n",
            "line 1, file: this label is the name under which a photo is imported; leave the column out",
        ),
        (
            b"image,label:a b\n",
            "line 1, label:a b: a label's name has letters, digits, dots, dashes and underscores, at most 63",
        ),
        (
            b"image,container,label:container\na.jpg,cup,mug\n",
            "line 2, label:container: this label has a value in another column",
        ),
        (
            b"image,container\na.jpg," + b"x" * 201,
            f'line 2, container: "{"x" * 40}…" has 201 characters; a label has at most 200',
        ),
        (
            b'image,container\na.jpg,"""\\ud800"""\n',
            'line 2, container: "\ufffd" has a character that no label may have',
        ),
        (b"image,tags\na.jpg," + b"y" * 65, f'line 2, tags: "{"y" * 40}…" has 65 characters; a tag has at most 64'),
        (
            b'image,container\na.jpg,"cup\nb.jpg,mug\n',
            "line 2: its quotes do not pair up, or it is too long (unexpected end of data)",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(content: bytes, fault: str) -> None:
    assert faults(content) == [fault]


def test_json_lines_are_refused_with_their_lines() -> None:
    assert json_faults(
        "{",
        "[]",
        '{"container": "cup"}',
        '{"image": 7}',
        '{"image": "a.jpg", "image": "b.jpg"}',
        '{"image": "a.jpg", "volume_min": true, "volume_max": NaN}',
        '{"image": "a.jpg", "volume_min": true, "child_present": 1, "label:x": {"a": 1}}',
        '{"image": "a.jpg", "volume_min": 1e999, "tags": "a;b", "label:big": ' + "9" * 400 + "}",
        "[" * 100_000,
    ) == [
        "line 1: it is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        'line 2: it is no JSON object, as in {"image": "cup.jpg", "can_receive_water": true}',
        "line 3: there is no member image, which names the photo",
        "line 4, image: 7 is not the name of a file",
        "line 5, image: this column is there twice",
        "line 6: it is not JSON (NaN is no number)",
        "line 7, volume_min: true is not a number",
        "line 7, child_present: 1 is neither yes nor no",
        "line 7, label:x: what is nested is not a text",
        "line 8, volume_min: Infinity is too large a number",
        f"line 8, label:big: {'9' * 40}… is too large a number",
        "line 9: it is nested too deeply",
    ]


def test_more_labels_than_a_photo_may_have_are_refused() -> None:
    many: dict[str, Any] = {"image": "a.jpg"} | {f"label:{number}": number for number in range(32)}
    (fault,) = json_faults(json.dumps(many))
    assert fault == "line 1: these are 32 labels; a photo has at most 31 and its file's name"


@given(st.lists(tags, unique=True, max_size=5))
def test_tags_in_a_cell_are_read_back(tagged: list[str]) -> None:
    assert read_tags(tags_cell(tagged)) == tagged


def photos(*names: str) -> list[FoundPhoto]:
    return [FoundPhoto(name, f"in/{name}", lambda: (b"", "")) for name in names]


def rows(*images: str) -> list[Row]:
    return [Row(line=line, image=image, labels={}) for line, image in enumerate(images, 2)]


def test_a_row_finds_its_photo_by_path_or_by_name() -> None:
    found = photos("cup.jpg", "a/cup.jpg", "a/mug.jpg", "Gru\u0308n.jpg")
    matched = match_rows(rows("cup.jpg", "./a/cup.jpg", "mug.jpg", "Gr\u00fcn.jpg", "none.jpg"), found)
    assert {place: row.line for place, row in matched.rows.items()} == {0: 2, 1: 3, 2: 4, 3: 5}
    assert ([row.image for row in matched.strays], matched.faults) == (["none.jpg"], [])


def test_a_name_that_two_photos_have_needs_the_path() -> None:
    matched = match_rows(rows("cup.jpg", "a/mug.jpg", "mug.jpg"), photos("a/cup.jpg", "b/cup.jpg", "a/mug.jpg"))
    assert [fault.sentence for fault in matched.faults] == [
        'line 2, image: 2 photos are called "cup.jpg" (in/a/cup.jpg, in/b/cup.jpg); give the path, as in a/cup.jpg',
        'line 4, image: "mug.jpg" is the photo of line 3 already',
    ]
    twice = match_rows(rows("cup.jpg"), photos("cup.jpg", "cup.jpg"))
    assert [fault.problem for fault in twice.faults] == [
        '2 photos are called "cup.jpg" (in/cup.jpg, in/cup.jpg); import one folder at a time'
    ]
