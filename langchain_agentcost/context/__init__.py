"""Context that costs less: what an agent sends again at each call, cut only where that pays under the prompt cache.

State is append-only; a pure function projects it for each call; the projection changes only at planned, logged
boundaries; every change is priced before and checked after.
"""
