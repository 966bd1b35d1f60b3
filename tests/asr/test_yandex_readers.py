"""What the responses of API v3 and v2 say, whatever their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from yandex.cloud.ai.stt.v2 import stt_service_pb2 as v2
from yandex.cloud.ai.stt.v3 import stt_pb2 as v3

from gateway.asr.engine import Final, Partial, Progress, Refinement, Word
from gateway.asr.yandex_v2 import V2Reader
from gateway.asr.yandex_v3 import V3Reader


def update(text: str, start: int = 0, end: int = 0, words: bool = False) -> v3.AlternativeUpdate:
    listed = [v3.Word(text=text, start_time_ms=start, end_time_ms=end)] if words else []
    best = v3.Alternative(text=text, start_time_ms=start, end_time_ms=end, words=listed)
    return v3.AlternativeUpdate(alternatives=[best, v3.Alternative(text="less likely")])


def cursors(received: int = 0, partial: int = 0, final: int = 0, index: int = 0) -> v3.AudioCursors:
    return v3.AudioCursors(received_data_ms=received, partial_time_ms=partial, final_time_ms=final, final_index=index)


def read(reader: V3Reader, **fields: object) -> list[object]:
    return list(reader.read(v3.StreamingResponse(**fields), 0))


def test_the_way_of_an_utterance() -> None:
    reader = V3Reader()
    assert read(reader, status_code=v3.StatusCode(code_type=v3.WORKING)) == [Progress(None)]
    assert read(reader, audio_cursors=cursors(400, 300), partial=update("алло", 100, 250)) == [
        Partial("алло", False, 800, 2000)
    ]
    assert read(reader, audio_cursors=cursors(1000, 900, 800), final=update("алло", 100, 300, words=True)) == [
        Final("алло", 800, 2400, 0, (Word("алло", 800, 2400),))
    ]
    refinement = v3.FinalRefinement(final_index=0, normalized_text=update("Алло."))
    assert read(reader, audio_cursors=cursors(1000, 900, 800), final_refinement=refinement) == [Refinement(0, "Алло.")]
    assert read(reader, eou_update=v3.EouUpdate(time_ms=800)) == [Progress(7200)]
    assert (reader.received, reader.heard) == (1.0, 7200)


def test_a_text_that_was_noise_is_taken_back() -> None:
    reader = V3Reader()
    assert read(reader, partial=update("")) == [Progress(None)], "nothing shown, nothing to take back"
    read(reader, partial=update("эм"))
    assert read(reader, partial=v3.AlternativeUpdate()) == [Partial("", False, 0, 0)]
    read(reader, partial=update("эм"))
    (final,) = read(reader, audio_cursors=cursors(final=500), final=update(""))
    assert isinstance(final, Final)
    assert (final.text, final.end) == ("", 4000)
    assert read(reader, final=update("")) == [Progress(4000)]


def test_a_refinement_of_nothing_known_is_no_news() -> None:
    reader = V3Reader()
    refinement = v3.FinalRefinement(final_index=7, normalized_text=update("Да."))
    assert read(reader, final_refinement=refinement) == [Progress(None)]


@given(st.lists(st.integers(0, 2**31 - 1), unique=True, min_size=1, max_size=20), st.data())
def test_refinements_find_their_finals_by_any_numbering_and_in_any_order(
    numbers: list[int], data: st.DataObject
) -> None:
    reader = V3Reader()
    for position, number in enumerate(numbers):
        (final,) = read(reader, audio_cursors=cursors(index=number), final=update(f"t{position}"))
        assert isinstance(final, Final)
        assert final.index == position
    for number in data.draw(st.permutations(numbers)):
        nicer = v3.FinalRefinement(final_index=number, normalized_text=update(f"T{numbers.index(number)}."))
        assert read(reader, final_refinement=nicer) == [Refinement(numbers.index(number), f"T{numbers.index(number)}.")]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30))
def test_cursors_never_go_back(positions: list[tuple[int, int, int]]) -> None:
    reader = V3Reader()
    before: tuple[float, int] = (0.0, 0)
    for received, partial, final in positions:
        read(reader, audio_cursors=cursors(received, partial, final), partial=update("x"))
        assert reader.received is not None
        assert reader.heard is not None
        assert (reader.received, reader.heard) >= before
        before = (reader.received, reader.heard)


@given(st.binary(max_size=400))
def test_no_response_breaks_the_reader(wire: bytes) -> None:
    from google.protobuf.message import DecodeError

    try:
        response = v3.StreamingResponse.FromString(wire)
    except DecodeError:
        return
    for event in V3Reader().read(response, 0):
        assert isinstance(event, Progress | Partial | Final)


def chunk(text: str, *, final: bool = False) -> v2.SpeechRecognitionChunk:
    best = v2.SpeechRecognitionAlternative(text=text)
    return v2.SpeechRecognitionChunk(alternatives=[best], final=final, end_of_utterance=final)


def said(*chunks: v2.SpeechRecognitionChunk) -> v2.StreamingRecognitionResponse:
    return v2.StreamingRecognitionResponse(chunks=chunks)


def test_v2_takes_its_times_from_when_texts_changed() -> None:
    reader = V2Reader()
    assert list(reader.read(said(chunk("раз")), 8000)) == [Partial("раз", False, 4000, 8000)]
    assert list(reader.read(said(chunk("раз два")), 12000)) == [Partial("раз два", False, 4000, 12000)]
    assert list(reader.read(said(chunk("раз два")), 16000)) == [Partial("раз два", False, 4000, 12000)]
    assert list(reader.read(said(chunk("раз два", final=True), chunk("три")), 20000)) == [
        Final("раз два", 4000, 16000, 0),
        Partial("три", False, 16000, 20000),
    ]
    assert list(reader.read(said(chunk("три", final=True)), 24000)) == [Final("три", 16000, 20000, 1)]
    assert list(reader.read(said(chunk("", final=True)), 28000)) == [Progress(None)]
    assert reader.received is None


@given(st.lists(st.tuples(st.sampled_from(["", "a", "a b", "c"]), st.booleans(), st.integers(0, 8000)), max_size=40))
def test_v2_finals_follow_one_another(steps: list[tuple[str, bool, int]]) -> None:
    reader, written, end, index = V2Reader(), 0, 0, 0
    for text, final, more in steps:
        written += more
        for event in reader.read(said(chunk(text, final=final)), written):
            if isinstance(event, Final):
                assert end <= event.start <= event.end <= written
                assert event.index == index
                end, index = event.end, index + 1
