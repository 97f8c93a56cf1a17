"""The demo: small real services to kill and watch, and the file that describes them."""
