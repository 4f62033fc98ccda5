"""Blueprint: search, register and edit patients; their lesions."""
