"""Blueprint: statistics over REST."""
