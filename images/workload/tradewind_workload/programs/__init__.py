"""A program of the user's own: run, listened to, its result published."""
