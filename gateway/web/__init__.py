"""The API, the live page and health, in the gateway's own process."""
