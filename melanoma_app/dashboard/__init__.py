"""Blueprint: overview, the lists behind it, and the API's interactive page."""
