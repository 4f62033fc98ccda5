"""Blueprint: sign in and out."""
