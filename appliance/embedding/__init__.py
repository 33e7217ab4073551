"""The embedding models in use: who has which one, who goes first, and how one takes the place of another."""
