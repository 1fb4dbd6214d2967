"""The stores that caches can keep their entries in, by URL."""
