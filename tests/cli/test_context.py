import pytest
from rich.console import Console

from recsys.cli.context import printable, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("café 红楼梦 👩‍👩‍👧", "café 红楼梦 👩‍👩‍👧"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\tc\x85", "a\\nb\\tc\\x85"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("half \ud800", "half \\ud800"),
        (7, "7"),
    ],
)
def test_a_value_is_printed_as_it_is_but_never_obeyed(value, text):
    assert printable(value) == text
    assert shown(value).plain == text


def test_line_ends_of_a_message_may_stay():
    assert printable("a\n  b\x1b", keep="\n") == "a\n  b\\x1b"


def test_markup_and_emoji_codes_are_shown_and_long_words_folded():
    console = Console(width=20, force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        console.print(shown("[red]:shark:[/red]"))
        console.print(shown("x" * 50))
    assert captured.get().split("\n")[0] == "[red]:shark:[/red]"
    assert captured.get().count("x") == 50
