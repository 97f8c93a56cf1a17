"""What connects the manager with other people's frameworks and clients: one folder each."""
