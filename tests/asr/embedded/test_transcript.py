from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.asr.embedded.transcript import Transcript


def test_partials_replace_each_other_and_finals_stay():
    transcript = Transcript()
    assert transcript.change() is None
    transcript.partial("You")
    assert transcript.change() == ("You", "You")
    transcript.partial("Your call")
    assert transcript.change() == ("Your call", "Your call")
    transcript.partial("Your call is ")
    assert transcript.change() == ("is", "Your call is")
    transcript.final("Your  call was.")
    assert transcript.change() == ("was.", "Your call was.")
    transcript.partial("Bye")
    assert transcript.change() == ("Bye", "Your call was. Bye")
    transcript.partial("Bye")
    assert transcript.change() is None


def test_a_final_without_words_takes_its_partial_back():
    transcript = Transcript()
    transcript.final("Yes.")
    transcript.partial("You")
    transcript.change()
    transcript.final("")
    assert transcript.change() == ("", "Yes.")


@given(st.lists(st.tuples(st.booleans(), st.text(" abc", max_size=12)), max_size=30))
def test_finals_never_change_and_spaces_are_single(steps):
    transcript = Transcript()
    finals: list[str] = []
    for is_final, text in steps:
        if is_final:
            transcript.final(text)
            finals += text.split()
        else:
            transcript.partial(text)
        words = transcript.full_text.split(" ") if transcript.full_text else []
        assert all(words)
        assert words[: len(finals)] == finals
        if change := transcript.change():
            assert change[1] == transcript.full_text
            assert change[1].endswith(change[0])
        assert transcript.change() is None
