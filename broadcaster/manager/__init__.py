"""What a backend embeds: the replica, admission and features, always at hand."""
