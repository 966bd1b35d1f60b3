"""Recorded telephone prompts with their texts, as Debian ships them (asterisk-core-sounds-en-wav and its siblings).

One professional voice, 8 kHz, 16 bit, mono; English CC-BY-SA-3.0, Russian CC-BY-3.0.
"""

from __future__ import annotations

import gzip
import wave
from dataclasses import dataclass
from pathlib import Path

SOUNDS = Path("/usr/share/asterisk/sounds")
DOCUMENTS = Path("/usr/share/doc")


@dataclass(frozen=True)
class Prompt:
    """One recording.

    Attributes:
        id: Such as ``agent-alreadyon``.
        path: The WAV file.
        text: What is said.
    """

    id: str
    path: Path
    text: str

    def pcm(self) -> bytes:
        """Returns the audio: linear16, 8000 Hz, mono."""
        with wave.open(str(self.path), "rb") as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
            return file.readframes(file.getnframes())


def load(language: str = "en") -> list[Prompt]:
    """Returns the prompts that can be compared with a recogniser's text, ordered by id.

    Four words or more; none whose text describes sounds in brackets or breaks off.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    texts = DOCUMENTS / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
    if not texts.exists():
        raise FileNotFoundError(f"{texts}: install the Debian package asterisk-core-sounds-{language}-wav")
    prompts = {}
    with gzip.open(texts, "rt", encoding="utf-8") as lines:
        for line in lines:
            name, colon, text = line.strip().partition(":")
            path = SOUNDS / language / f"{name}.wav"
            usable = len(text.split()) >= 4 and not any(mark in text for mark in ("[", "]", "(", "<", "..."))
            if colon and usable and not name.startswith(";") and path.exists():
                prompts[name] = Prompt(name, path, text.strip())
    return [prompts[name] for name in sorted(prompts)]
