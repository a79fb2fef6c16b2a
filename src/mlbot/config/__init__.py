"""mlbot.yaml: its schema, its errors on their lines, the conditions of slices, files of parameters."""
