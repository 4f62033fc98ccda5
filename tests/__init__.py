"""The tests: unit (mirrors the tree), functional, migrations, guards, ml and browser."""
