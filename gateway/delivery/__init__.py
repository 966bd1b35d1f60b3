"""The durable outbox and the signed webhooks that empty it."""
