"""The sample: a chat and the services it stands on, all real processes to kill and watch; and the file that describes
them."""
