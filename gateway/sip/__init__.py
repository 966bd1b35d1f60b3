"""The SIP side: a signalling process of its own and the link to it."""
