"""A checkpointer that knows what a thread has cost, and puts caches and summaries into a graph."""
