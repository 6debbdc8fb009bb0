"""Adapters to other frameworks, each imported only when asked."""
