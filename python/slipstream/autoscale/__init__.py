"""How many instances models have, and which rest: decided by what is measured, as time goes on."""
