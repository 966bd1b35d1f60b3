"""The media plane: RTP reception, the leg's timeline, G.711, speech activity."""
