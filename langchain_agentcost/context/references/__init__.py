"""References by id: a large tool result is kept in a store, and the prompt has its stub and where to read the rest."""
