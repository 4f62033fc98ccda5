"""Blueprint: photograph a lesion, and the result."""
