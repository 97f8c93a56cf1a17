"""What is said on the wire, without any wire: messages, their encoding, close codes and texts."""
