"""The official-account platform: tokens, menu, messages, users, mass sending, OAuth, pushes."""
