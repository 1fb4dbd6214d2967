"""Caches that know what a wrong hit costs: answers of models, results of tools, and whole subgraphs.

Names are imported when they are first used: a tool cache needs no embeddings.
"""
