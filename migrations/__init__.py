"""The database's revisions, and what they share."""
