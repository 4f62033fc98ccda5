"""The rules: the only place that queries and commits. Verb-first, keyword-only functions, one module a subject."""
