"""HTML in a text reduced to its words by lxml: tags, comments, scripts and styles go, entities are read.

What only looks like HTML stays: `a < b`, `x <3`, `<unknown>`, `AT&T`.
"""

import re

# Elements of HTML; those of one letter are apart, they stand in prose too.
_NAMES = (
    "abbr|acronym|address|applet|area|article|aside|audio|base|basefont|bdi|bdo|big|blink|blockquote|body|br|button"
    "|canvas|caption|center|cite|code|col|colgroup|data|datalist|dd|del|details|dfn|dialog|dir|div|dl|dt|em|embed"
    "|fieldset|figcaption|figure|font|footer|form|frame|frameset|h[1-6]|head|header|hgroup|hr|html|iframe|img|input"
    "|ins|kbd|label|legend|li|link|main|map|mark|marquee|menu|meta|meter|nav|nobr|noframes|noscript|object|ol|optgroup"
    "|option|output|param|picture|pre|progress|rp|rt|ruby|samp|script|search|section|select|slot|small|source|span"
    "|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|track|tt"
    "|ul|var|video|wbr"
)
_LETTERS = "[abipqsu]"
# They separate no words: H<sub>2</sub>O.
_INLINE = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|mark|nobr|q|rp|rt|ruby|s|samp|small|span"
    "|strike|strong|sub|sup|time|tt|u|var|wbr"
)
# Nobody reads what they hold.
_UNSEEN = re.compile("script|style|template|noscript|iframe|object|svg|applet|head")
_PAIRED = re.compile(r"</([A-Za-z][\w:-]{0,40})\s*>", re.ASCII)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LONE_AMPERSAND = re.compile(r"&(?!(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)")
_CHARACTER_DATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_CUT_OFF = re.compile(r"<(?:[a-z][a-z0-9]{0,20}\s+[\w:-]{1,40}\s*=[^<>]{0,4000}|/[a-z]*)$", re.IGNORECASE)


def _tags(names: str) -> re.Pattern[str]:
    # A tag ends where the next one begins at the latest; the name of one letter alone may be prose (`x <b and y> c`).
    return re.compile(
        rf"<(?:/?(?:{names})(?:\s[^<]{{0,4000}}|/)?>"
        rf"|/?{_LETTERS}(?:\s[^<>=]{{0,200}}=[^<]{{0,4000}}|\s*/?)>"
        r"|!--|!doctype\b|\?xml\b|\?php\b)",
        re.IGNORECASE,
    )


_HTML_TAGS = _tags(_NAMES)


def without_markup(text: str) -> str:
    """One layer of HTML less.

    Args:
        text: may hold HTML, or HTML whose entities were written once more.

    Returns:
        Its words, with blanks where an element ended a line; entities are read once. The same text where it holds
        neither tags nor entities.
    """
    if "<" in text:
        text = _CUT_OFF.sub(" ", _CHARACTER_DATA.sub(r" \1 ", text))
        tag = _tag_pattern(text)
        if tag.search(text):
            return _words(text, tag)
    return _unescaped(text) if "&" in text else text


def _tag_pattern(text: str) -> re.Pattern[str]:
    """What is a tag in this text: elements of HTML, and whatever is closed by its name."""
    further = {name for name in _PAIRED.findall(text) if not _HTML_TAGS.match(f"<{name}>")}
    if not further:
        return _HTML_TAGS
    return _tags("|".join([_NAMES, *map(re.escape, sorted(further))]))


def _unescaped(text: str) -> str:
    from html import unescape

    return _ENTITY.sub(lambda match: unescape(match.group()), text)


def _words(text: str, tag: re.Pattern[str]) -> str:
    from lxml import etree

    escaped = re.sub("<", lambda match: "<" if tag.match(text, match.start()) else "&lt;", text)
    collector = _Collector()
    parser = etree.HTMLParser(
        target=collector, encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True
    )
    content = _LONE_AMPERSAND.sub("&amp;", escaped).encode("utf-8", "replace")
    found: str = etree.fromstring(b"<html><body>" + content + b"</body></html>", parser)
    return found


class _Collector:
    """Takes what the parser finds, and keeps the words."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._unseen = 0

    def start(self, tag: str, _: object) -> None:
        self._edge(tag)
        self._unseen += bool(_UNSEEN.fullmatch(tag))

    def end(self, tag: str) -> None:
        self._unseen -= bool(_UNSEEN.fullmatch(tag))
        self._edge(tag)

    def data(self, data: str) -> None:
        if not self._unseen:
            self._words.append(data)

    def close(self) -> str:
        return "".join(self._words)

    def _edge(self, tag: str) -> None:
        if not _INLINE.fullmatch(tag):
            self._words.append(" ")
