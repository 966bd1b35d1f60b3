"""A test server for speech recognition: its words are in the audio itself, and it makes every fault when told to."""
