"""RouterRunnable: the cheapest tier that is proven good enough, for each call."""
