"""The review queue: questions that operators decide, and what each decision carries out."""
