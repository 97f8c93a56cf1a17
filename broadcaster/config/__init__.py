"""``services.yaml`` as frozen settings: read, checked and explained here, acted upon elsewhere."""
