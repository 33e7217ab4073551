"""How good searches and answers are: metrics over questions whose pages are known."""
