"""A SIP gateway that streams the legs of calls to speech recognisers and publishes live transcripts."""
