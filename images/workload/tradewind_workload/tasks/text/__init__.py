"""Texts: tokens of them, learned by a network of our own or by a transformer that is fine-tuned."""
