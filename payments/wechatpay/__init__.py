"""How we speak to WeChat Pay v3: signed calls with three outcomes, verified messages, bills."""
