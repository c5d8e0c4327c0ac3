"""A method each: it says what it refuses, and makes a smaller model."""
