"""Utterances: the latest revisions, one after the other, are always exactly the engine's text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.asr.engine import Final, Partial
from gateway.media.activity import Segment
from gateway.transcripts.utterances import Change, Update, UtteranceBuilder

PAUSE, SETTLE, LAG = 4800, 0.7, 2400
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), WORDS),
        st.tuples(st.sampled_from(["speak", "stop", "wait", "restart"]), st.integers(0, 12000)),
    ),
    max_size=30,
)


def builder(longest: int = 240_000) -> UtteranceBuilder:
    return UtteranceBuilder(pause=PAUSE, settle=SETTLE, longest=longest)


def spoken(start: int, end: int) -> Segment:
    return Segment(start, end, open=False)


@settings(max_examples=1500, deadline=None)
@given(STEPS)
def test_no_word_is_lost_or_doubled_whatever_the_engine_rewrites(steps: list[tuple[str, object]]) -> None:
    made = builder()
    position, latest, settled_before, text = 0, {}, [], []
    segment: Segment | None = None

    def take(updates: list[Update]) -> None:
        for update in updates:
            assert update.start <= update.end
            known = latest.get(update.number)
            assert known is None or update.revision > known.revision, "a consumer could not tell which text is newer"
            latest[update.number] = update

    def words() -> list[str]:
        return [word for number in sorted(latest) for word in latest[number].text.split()]

    for step, value in steps:
        if step == "text":
            take(made.text(" ".join(value), position, position / 8000))
            text = list(value)
        else:
            position += value
        if step == "speak" and segment is None:
            segment = Segment(position, position + 160, open=True)
            made.speech(segment)
        elif step == "stop" and segment is not None:
            segment.open, segment.end, segment = False, position, None
        elif step == "wait":
            take(made.tick(position, position / 8000))
        elif step == "restart":
            take(made.restart())
            settled_before, text = words(), []
        assert words() == settled_before + text
    take(made.finish(position))
    assert words() == settled_before + text
    assert all(update.change is not Change.PARTIAL for update in latest.values() if update.text)


def test_an_utterance_reaches_from_the_start_of_speech_to_its_end() -> None:
    made = builder()
    made.speech(spoken(1600, 9600))
    made.text("hello there", 10000, 1.2)
    assert made.tick(9600 + PAUSE - 1, 5.0) == [], "the pause is not over"
    assert made.tick(9600 + PAUSE, 5.0) == [], "the text has to settle after the pause"
    (final,) = made.tick(9600 + PAUSE, 5.0 + SETTLE)
    assert final == Update(Change.FINAL, 1, "hello there", 1600, 9600, 2)
    assert made.settled == 9600


def test_the_engine_saying_the_same_again_after_the_pause_settles_the_text() -> None:
    made = builder()
    made.speech(spoken(0, 8000))
    made.text("hello", 8000, 1.0)
    assert made.text("hello", 10400, 1.3) == [], "the pause is not over"
    made.tick(8000 + PAUSE, 1.6)
    (final,) = made.text("hello", 13200, 1.65)
    assert (final.change, final.text, final.end) == (Change.FINAL, "hello", 8000)


def test_text_that_still_changes_is_not_final() -> None:
    made = builder()
    made.speech(spoken(0, 8000))
    made.text("hello", 8000, 1.0)
    made.tick(16000, 2.0)
    made.text("hello there", 16000, 2.5)
    assert made.tick(20000, 2.5 + SETTLE - 0.01) == []
    (final,) = made.tick(20000, 2.5 + SETTLE)
    assert final.text == "hello there"


def test_words_after_the_pause_belong_to_the_next_utterance() -> None:
    made = builder()
    made.speech(spoken(0, 8000))
    made.text("one", 8000, 1.0)
    made.tick(8000 + PAUSE, 1.6)
    made.speech(spoken(14000, 20000))
    updates = made.text("one two", 20000, 1.7)
    assert [(u.change, u.number, u.text, u.start, u.end) for u in updates] == [
        (Change.FINAL, 1, "one", 0, 8000),
        (Change.PARTIAL, 2, "two", 14000, 20000),
    ]


def test_a_late_word_just_after_speech_resumed_belongs_to_the_utterance_before() -> None:
    made = builder()
    made.speech(spoken(0, 8000))
    made.text("one", 8000, 1.0)
    made.tick(8000 + PAUSE, 1.6)
    made.speech(Segment(13000, 13160, open=True))
    (update,) = made.text("one two", 13500, 1.65)
    assert (update.change, update.number, update.text) == (Change.PARTIAL, 1, "one two")


def test_a_click_before_the_first_word_does_not_move_its_start() -> None:
    made = builder()
    made.speech(spoken(4000, 4800))
    made.tick(4800 + PAUSE, 1.2)
    made.speech(Segment(10_000, 14_000, open=True))
    (partial,) = made.text("hello", 14_000, 1.8)
    assert (partial.change, partial.start) == (Change.PARTIAL, 10_000)


def test_a_correction_of_final_words_is_a_revision_of_their_utterance() -> None:
    made = builder()
    made.speech(spoken(0, 8000))
    made.text("the string of hope", 8000, 1.0)
    made.tick(8000 + PAUSE, 2.0)
    (final,) = made.tick(8000 + PAUSE, 3.0)
    made.speech(spoken(20000, 28000))
    refined, partial = made.text("the spring of hope it was", 28000, 4.0)
    assert (refined.change, refined.number, refined.text) == (Change.REFINED, 1, "the spring of hope")
    assert refined.revision > final.revision
    assert (partial.change, partial.number, partial.text) == (Change.PARTIAL, 2, "it was")


def monologue(made: UtteranceBuilder, pauses: list[tuple[int, int]], *, until: int) -> list[Update]:
    """Says a word every 0.5 s, shown 0.3 s later, in speech with these pauses; returns all updates."""
    edges = [0, *(edge for pause in pauses for edge in pause), until]
    stretches = list(zip(edges[::2], edges[1::2], strict=True))
    said = [at for at in range(4000, until, 4000) if any(begin < at <= end for begin, end in stretches)]
    updates: list[Update] = []
    speaking: list[tuple[Segment, int]] = []
    for position in range(0, until + 1, 800):
        if len(speaking) < len(stretches) and stretches[len(speaking)][0] <= position:
            begin, end = stretches[len(speaking)]
            speaking.append((Segment(begin, position, open=True), end))
            made.speech(speaking[-1][0])
        for segment, end in speaking:
            segment.open, segment.end = position < end, min(position, end)
        updates += made.text(" ".join(f"w{at}" for at in said if at + LAG <= position), position, position / 8000)
        updates += made.tick(position, position / 8000)
    return updates


def test_a_long_monologue_is_cut_at_the_longest_pause_of_its_second_half() -> None:
    made = builder(longest=80_000)
    pauses = [(20_000, 23_200), (48_000, 50_400), (60_000, 62_000), (70_000, 73_000)]
    updates = monologue(made, pauses, until=80_000)
    finals = [update for update in updates if update.change is Change.FINAL]
    (final,) = finals
    assert (final.start, final.end) == (0, 70_000), "the longest; those of the first half do not count"
    assert final.text.split()[-1] == "w68000"
    after = updates[updates.index(final) + 1]
    assert (after.change, after.number, after.text, after.start) == (Change.PARTIAL, 2, "w76000", 73_000)


def test_a_monologue_without_a_pause_is_cut_as_it_stands() -> None:
    made = builder(longest=80_000)
    finals = [update for update in monologue(made, [], until=170_000) if update.change is Change.FINAL]
    assert [(final.start, final.end) for final in finals] == [(0, 80_000), (80_000, 160_000)]
    words = " ".join(final.text for final in finals).split()
    assert words == [f"w{at}" for at in range(4000, 160_000, 4000) if at + LAG <= 160_000]


@given(st.lists(st.integers(2000, 20_000), min_size=1, max_size=20), st.lists(st.integers(1920, 4700), min_size=20))
@settings(max_examples=100, deadline=None)
def test_wherever_it_is_cut_the_words_before_the_pause_stay_before_it(talks: list[int], rests: list[int]) -> None:
    made, pauses, at = builder(longest=40_000), [], 0
    for talk, rest in zip(talks, rests, strict=False):
        pauses.append((at + talk, at + talk + rest))
        at += talk + rest
    updates = monologue(made, pauses, until=at + 8000)
    begins = dict(pauses)
    for final in (update for update in updates if update.change is Change.FINAL):
        if final.end in begins and final.text:
            assert int(final.text.split()[-1][1:]) <= final.end


def test_an_engine_with_boundaries_of_its_own_is_not_cut() -> None:
    made = builder(longest=40_000)
    made.speech(spoken(0, 8000))
    made.engine_text(Partial("good", accumulates=False), 8000, 1.0)
    for second in range(1, 20):
        assert made.tick(8000 * second, float(second)) == []
    (final,) = made.engine_final(Final("good morning", 0, 8000, index=1))
    assert (final.change, final.number, final.text) == (Change.FINAL, 1, "good morning")


def test_the_end_of_the_session_settles_what_is_open() -> None:
    made = builder()
    made.speech(spoken(800, 4000))
    made.text("good", 4000, 0.5)
    (final,) = made.finish(4100)
    assert (final.change, final.text, final.start, final.end) == (Change.FINAL, "good", 800, 4000)


def test_a_new_session_takes_back_what_was_only_shown() -> None:
    made = builder()
    made.speech(spoken(0, 4000))
    made.text("goo", 4000, 0.5)
    (emptied,) = made.restart()
    assert (emptied.change, emptied.number, emptied.text) == (Change.PARTIAL, 1, "")
    (again,) = made.text("good", 6000, 0.9)
    assert (again.number, again.text, again.start) == (1, "good", 0)
    assert again.revision > emptied.revision


def test_a_final_whose_last_word_grows_is_refined_and_one_that_only_goes_on_is_not() -> None:
    """That the finals stand as they did is seen by the characters, and a word must not be cut by that."""
    builder = UtteranceBuilder(pause=5600, settle=0.8, longest=160_000)
    builder.text("one two", 8000, 1.0)
    assert [update.text for update in builder.finish(8000)] == ["one two"]
    grown = builder.text("one twosome", 16_000, 2.0)
    assert [(update.change, update.text) for update in grown] == [(Change.REFINED, "one twosome")]
    gone_on = builder.text("one twosome three", 24_000, 3.0)
    assert [(update.change, update.text) for update in gone_on] == [(Change.PARTIAL, "three")]
    assert [update.text for update in builder.finish(24_000)] == ["three"]
    gone_on = builder.text("one twosome three four", 32_000, 4.0)
    assert [(update.change, update.text) for update in gone_on] == [(Change.PARTIAL, "four")]
