"""Truth first, then its bytes: world, device models, emitters, scenarios, scoring."""
