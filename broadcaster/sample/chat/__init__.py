"""The sample's chat backend: what an application does with the manager when the services it stands on fail."""
