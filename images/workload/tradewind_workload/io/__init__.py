"""Documents, reports, files and places on the volume: what a job is told and what it leaves. Knows no Ray."""
