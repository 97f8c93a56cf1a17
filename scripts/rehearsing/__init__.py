"""What ``scripts/rehearse.py`` is made of: the sample as processes, troubles for them, and users who count."""
