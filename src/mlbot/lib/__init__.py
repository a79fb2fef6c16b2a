"""What every room builds on: records, untrusted JSON, trees of files, numbers and text made harmless."""
