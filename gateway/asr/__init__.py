"""Speech recognition: what every engine offers, the engines, and the sessions that survive them."""
