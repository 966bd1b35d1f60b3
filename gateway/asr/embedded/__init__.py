"""A local recogniser that speaks Palatine's protocol, so that the gateway works without an account."""
