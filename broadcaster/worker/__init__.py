"""The probe worker: schedule, detect, publish."""
