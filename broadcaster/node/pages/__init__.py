"""What the node serves to look at: the status page, its feed of incidents, and badges."""
