"""Small pieces on their own: reading and writing numbers, beside what a user would take instead."""
