"""Would one answer serve both texts? Rules that forbid it, and a learned score."""
