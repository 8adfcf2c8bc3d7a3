"""What has no better home: files and tables that are written, locks, progress, signals, figures."""
