"""Stop words by language, which `analyzer.py` leaves out.

Those of English are scikit-learn's, by the Glasgow Information Retrieval Group. They stand here since importing
scikit-learn takes half a second, which whatever only reads a model would wait for. Other languages have the lists of
the package stop-words, read where a head is learned; a head carries its words along.
"""

from collections.abc import Collection
from functools import lru_cache

WORDS = """
a about above across after afterwards again against all almost alone along already also although always am
among amongst amoungst amount an and another any anyhow anyone anything anyway anywhere are around as at
back be became because become becomes becoming been before beforehand behind being below beside besides
between beyond bill both bottom but by call can cannot cant co con could couldnt cry de describe detail do
done down due during each eg eight either eleven else elsewhere empty enough etc even ever every everyone
everything everywhere except few fifteen fifty fill find fire first five for former formerly forty found
four from front full further get give go had has hasnt have he hence her here hereafter hereby herein
hereupon hers herself him himself his how however hundred i ie if in inc indeed interest into is it its
itself keep last latter latterly least less ltd made many may me meanwhile might mill mine more moreover
most mostly move much must my myself name namely neither never nevertheless next nine no nobody none noone
nor not nothing now nowhere of off often on once one only onto or other others otherwise our ours ourselves
out over own part per perhaps please put rather re same see seem seemed seeming seems serious several she
should show side since sincere six sixty so some somehow someone something sometime sometimes somewhere
still such system take ten than that the their them themselves then thence there thereafter thereby
therefore therein thereupon these they thick thin third this those though three through throughout thru thus
to together too top toward towards twelve twenty two un under until up upon us very via was we well were
what whatever when whence whenever where whereafter whereas whereby wherein whereupon wherever whether which
while whither who whoever whole whom whose why will with within without would yet you your yours yourself
yourselves
"""
ENGLISH = frozenset(WORDS.split())

LIKE = {"nn": "nb", "no": "nb"}
"""Languages that have the list of another one."""


def stop_words_of(languages: Collection[str]) -> frozenset[str]:
    """The stop words of several languages together.

    Args:
        languages: ISO 639-1 codes; those without a list have no stop words.

    Returns:
        Lower case. English where none of the languages has a list.
    """
    listed = [_listed(LIKE.get(language, language)) for language in languages]
    return frozenset().union(*listed) or ENGLISH


@lru_cache
def _listed(language: str) -> frozenset[str]:
    if language == "en":
        return ENGLISH
    from stop_words import StopWordError, get_stop_words

    try:
        listed = [word.lower() for word in get_stop_words(language)]
    except StopWordError:
        return frozenset()
    # An analyzer cuts words at apostrophes. Phrases are left alone: their words may have a meaning by themselves.
    parts = (part for word in listed if " " not in word for part in word.replace("\u2019", "'").split("'"))
    return frozenset(listed) | frozenset(part for part in parts if len(part) > 1)
