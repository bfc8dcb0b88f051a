"""How we talk to the WeChat platform: pushes in, replies and API calls out."""
