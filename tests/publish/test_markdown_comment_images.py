"""Local images in Markdown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbot.publish.run_comment import image_suffix, local_images, with_addresses


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("![a plot](plot.png)", ["plot.png"]),
        ("![](plots/a.svg 'title') and ![b](<my b.png>)", ["plots/a.svg", "my b.png"]),
        ("![c](my%20plot.png)", ["my plot.png"]),
        ("![a [b] c](x(1).png)", ["x(1).png"]),
        ('<img width="5" src="a.png"> <IMG SRC=\'b.png\'>', ["a.png", "b.png"]),
        ('<picture><source media="(dark)" srcset="d.svg"><img src="l.svg"></picture>', ["d.svg", "l.svg"]),
        ("![x][plot]\n\n[plot]: plots/a.png\n[docs]: docs/a.md", ["plots/a.png"]),
        ("![a](https://x.org/a.png) ![b](//x.org/b.png) ![c](data:image/png;base64,AA) ![d](#e) ![f]()", []),
        ("`![a](a.png)` and ``![b](b.png)`` but ![c](c.png)", ["c.png"]),
        ("```md\n![a](a.png)\n```\n![b](b.png)", ["b.png"]),
        ("~~~\n```\n![a](a.png)\n~~~\n![b](b.png)", ["b.png"]),
        ("````\n```\n![a](a.png)\n````\n![b](b.png)", ["b.png"]),
        ("[a link](a.png)", []),
        ("C:\\plots ![a](C:/a.png)", []),
    ],
)  # fmt: skip
def test_what_a_text_shows(text: str, paths: list[str]) -> None:
    assert [link.path for link in local_images(text)] == paths


def test_only_the_paths_are_replaced() -> None:
    text = 'A ![plot](a.png "The plot") of `a.png`, <img src="a.png" alt="a.png">, ![b](<b c.png>).\n\n[d]: d.gif\n'
    addresses = {"a.png": "https://x/1", "b c.png": "https://x/2", "d.gif": "https://x/3"}
    assert with_addresses(text, local_images(text), addresses) == (
        'A ![plot](https://x/1 "The plot") of `a.png`, <img src="https://x/1" alt="a.png">, ![b](https://x/2).'
        "\n\n[d]: https://x/3\n"
    )


@given(st.text(alphabet="![]()<>`~ \nax.png:/\\\"'=srcimg", max_size=200))
def test_any_text_is_read_and_kept(text: str) -> None:
    links = local_images(text)
    assert all(link.start < link.end for link in links)
    assert with_addresses(text, links, {link.path: text[link.start : link.end] for link in links}) is not None
    assert with_addresses(text, (), {}) == text


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n....", ".png"),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"GIF89a", ".gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", ".webp"),
        (b"<svg>", ".svg"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --> <!DOCTYPE svg PUBLIC "x">\n<svg xmlns="y">', ".svg"),
        (b"<svgx>", None),
        (b"<html><svg>", None),
        (b"<!-- <svg>", None),
        (b"root:x:0:0", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"", None),
    ],
)
def test_what_a_file_is_by_its_content(content: bytes, suffix: str | None) -> None:
    assert image_suffix(content) == suffix


def test_a_long_text_takes_no_long_time() -> None:
    """A mistake in the pattern would show as the test's timeout."""
    for part in ("![", "<img ", "`", "![a](", "(", "<!--", '<img src="', "![a[b]", "![](a("):
        local_images(part * 20_000)
        image_suffix(part.encode() * 20_000)
